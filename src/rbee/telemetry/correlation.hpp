#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rbee::telemetry {

/// The client's value when it is shaped like a UUID (36 characters), otherwise a new UUID
/// version 4. So nothing that a client sends can break a log line. Thread-safe.
[[nodiscard]] std::string accept_or_make_correlation_id(std::optional<std::string_view> from_client
);

} // namespace rbee::telemetry
