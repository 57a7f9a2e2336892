#pragma once

#include "rbee/engine/generation.hpp"
#include "rbee/engine/llama_request.hpp"

#include <atomic>
#include <cstdint>

#include "server-context.h"

namespace rbee::engine {

/// Does the whole work of one generation on the calling thread: reads the body, posts the tasks,
/// turns results into chunks. Returns after the sink has its end, or earlier when the generation
/// was stopped; who stopped it gives the end. `generated` counts tokens. Never throws.
void run_generation(
    Generation& generation,
    server_context& server,
    const TaskContext& context,
    std::atomic<std::uint64_t>& generated
);

} // namespace rbee::engine
