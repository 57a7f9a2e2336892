#pragma once

#include "rbee/base/result.hpp"
#include "rbee/domain/placement.hpp"
#include "rbee/queen/fleet.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace rbee::queen {

/// One inference on its way.
struct InferenceJob {
    std::string target; ///< Path at the hive.
    std::string body;
    domain::Wanted wanted;
    std::string job_id;
    std::optional<std::int64_t> deadline_ms = {}; ///< As the body says.
    bool stream = false;
};

/// The canonical name of the model that a request asks for; the only one there is when it names
/// none. Fails with Errc::invalid_argument or MODEL_NOT_FOUND; both list the known names.
[[nodiscard]] Result<std::string> resolve_model(const Fleet& fleet, const std::string& asked);

/// A task of the command line (POST /v2/tasks) as an inference in rbee's own dialect on its node.
/// Fails with Errc::invalid_argument, NODE_NOT_FOUND or MODEL_NOT_FOUND.
[[nodiscard]] Result<InferenceJob> make_task(const Fleet& fleet, boost::json::object body);

} // namespace rbee::queen
