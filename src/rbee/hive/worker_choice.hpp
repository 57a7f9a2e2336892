#pragma once

#include "rbee/api/types.hpp"
#include "rbee/base/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace rbee::hive {

/// What a request says about the worker it wants.
struct WorkerQuery {
    std::string worker_id; ///< Of X-Rbee-Worker; wins when not empty.
    std::string model;     ///< Short name or full reference; empty = the only model there is.
};

/// The id of the worker that a request goes to: the one it names, else of the routable ones with
/// its model the one with most free slots. Pure. Fails with WORKER_NOT_FOUND, MODEL_NOT_FOUND
/// (naming what is there), WORKER_NOT_READY, or Errc::invalid_argument when no model is named and
/// there are several.
[[nodiscard]] Result<std::string>
choose_worker(const std::vector<api::WorkerInfo>& workers, const WorkerQuery& query);

/// True for inference paths that occupy a slot; the others (tokenize, templates, counting) are
/// answered beside the running generations.
[[nodiscard]] bool needs_slot(std::string_view path);

} // namespace rbee::hive
