#pragma once

#include "rbee/base/result.hpp"
#include "rbee/queen/fleet.hpp"

#include <boost/json/object.hpp>

namespace rbee::queen {

/// Reads the body of POST /v1|v2/workers/register or ready, in both forms: a hive for its worker
/// (rbee_hive_url, capabilities, models_loaded) and the worker for itself (url, model_ref, backend,
/// device, node_name). Fails with Errc::invalid_argument, naming the field.
[[nodiscard]] Result<WorkerRegistration> registration_from(const boost::json::object& body);

} // namespace rbee::queen
