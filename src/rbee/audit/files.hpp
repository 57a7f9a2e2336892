#pragma once

#include "rbee/audit/layout.hpp"
#include "rbee/base/result.hpp"

#include <optional>
#include <string>
#include <vector>

namespace rbee::audit {

/// A log as somebody finds it who only reads.
struct Listing {
    std::string service;
    std::vector<SegmentName> segments; ///< In order.
    std::optional<Head> head;          ///< Without its key.
};

/// What is in `folder`. Errc::not_found when it has neither a record nor a head; Errc::io when it
/// cannot be read; Errc::corrupt when nothing in it tells the service.
[[nodiscard]] Result<Listing> list_log(const std::string& folder);

/// Folders below `base` that hold a log, in order of their names.
[[nodiscard]] std::vector<std::string> find_logs(const std::string& base);

} // namespace rbee::audit
