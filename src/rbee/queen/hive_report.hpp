#pragma once

#include "rbee/api/types.hpp"
#include "rbee/base/result.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/node_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <string_view>

namespace rbee::queen {

/// Fails with VERSION_MISMATCH, naming both versions, unless `hive` is at least 0.1.0.
[[nodiscard]] Result<void> check_version(std::string_view hive);

/// Takes a report of a hive into the fleet and, when the hive or its address is new, into the
/// registry: the first heartbeat of a hive is its registration.
[[nodiscard]] boost::asio::awaitable<Result<void>>
take_report(Fleet* fleet, NodeStore* nodes, api::HiveReport report, std::int64_t now_unix);

} // namespace rbee::queen
