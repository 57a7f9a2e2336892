#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::api {

/// What a gateway needs to know of an inference body.
struct RouteFields {
    std::string model;  ///< Empty when absent.
    std::string job_id; ///< Of rbee's own dialect; empty when absent.
    bool stream = false;
    std::optional<std::int64_t> deadline_ms; ///< How long the request may take, from its arrival.
    /// How long its worker is to be kept without requests afterwards, or domain::keep_for_ever.
    std::optional<Duration> keep_alive;
};

/// Finds `model`, `job_id`, `stream`, `deadline_ms` and `keep_alive` without building a document:
/// prompts are skipped, not parsed. The text of `body` is not changed; its capacity may grow,
/// because the scanner needs room behind the text. Fails with Errc::invalid_argument when the body
/// is not an object, when a field has the wrong type, the model or job_id holds control characters
/// or is too long, the bound on tokens makes no sense, or any text holds a NUL. The rest is for the
/// engine to judge.
[[nodiscard]] Result<RouteFields> route_fields(std::string& body);

} // namespace rbee::api
