#pragma once

#include "rbee/base/activity.hpp"
#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"

#include <cstdint>
#include <vector>

#include "server-context.h"
#include "server-task.h"

namespace rbee::engine {

/// What making a task needs to know of the loaded model. Constant while it serves.
struct TaskContext {
    const common_params& params;
    const server_context_meta& meta;
    const llama_vocab* vocab;
    Activity& activity; ///< Shows which tasks the loop has.
    bool allow_remote_images = false;
};

/// The tasks of one generation, not posted yet.
struct PreparedTasks {
    std::vector<server_task> tasks; ///< Further choices (n > 1) are inside, as child tasks.
    std::uint32_t seed = 0;
};

/// Reads the body of `request` in its dialect, applies the chat template and tokenises. What is
/// wrong with the body is Errc::invalid_argument.
[[nodiscard]] Result<PreparedTasks> prepare_tasks(
    const GenerationRequest& request, const TaskContext& context, server_response_reader& reader
);

/// The shape in which llama.cpp must write results for `dialect`.
[[nodiscard]] task_response_type response_type(Dialect dialect);

/// An error result of llama.cpp as ours.
[[nodiscard]] Error to_error(const server_task_result_error& result);

} // namespace rbee::engine
