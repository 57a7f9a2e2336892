#pragma once

#include "rbee/api/types.hpp"
#include "rbee/base/result.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/node_store.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::queen {

/// Fails with VERSION_MISMATCH, naming both versions and which to upgrade, unless `hive` is at
/// least 0.1.0 and compatible with this queen: same major version, and before 1.0 same minor.
[[nodiscard]] Result<void> check_version(std::string_view hive);

/// What a hive has too little of (8 GB of RAM, 50 GB of free disk), in words: small models run all
/// the same, so it is no reason to refuse a hive.
[[nodiscard]] std::vector<std::string> shortfalls(const api::HiveReport& report);

/// Writes to the log what was found before a hive is taken; the health check is behind it.
void log_preflight(const telemetry::Logger& log, const api::HiveReport& report);

/// Passes when the report is from the hive that it names, by the identity in the certificate that
/// it came with, such as "hive:attic"; an empty one passes, as without TLS. Fails with
/// Errc::forbidden, also when the address in the report is that of another hive.
[[nodiscard]] Result<void>
check_identity(const Fleet& fleet, std::string_view identity, const api::HiveReport& report);

/// Takes a report of a hive into the fleet and, when the hive or its address is new, into the
/// registry: the first heartbeat of a hive is its registration.
[[nodiscard]] boost::asio::awaitable<Result<void>>
take_report(Fleet* fleet, NodeStore* nodes, api::HiveReport report, std::int64_t now_unix);

} // namespace rbee::queen
