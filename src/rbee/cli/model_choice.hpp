#pragma once

#include "rbee/base/result.hpp"

#include <boost/json/object.hpp>

#include <string>

namespace rbee::cli {

/// The model to use when the user named none: the first ready one, else the only one there is,
/// else the demonstration model "rbee-demo". Fails with Errc::invalid_argument, listing the names.
/// `models` is the answer of GET /v1/models.
[[nodiscard]] Result<std::string> choose_model(const boost::json::object& models);

} // namespace rbee::cli
