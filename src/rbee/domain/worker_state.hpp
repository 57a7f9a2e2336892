#pragma once

#include <optional>
#include <string_view>

namespace rbee::domain {

/// Life of a worker as the registries of hive and queen see it.
///
///     loading -> idle <-> busy -> draining -> stopped
///        |         `--------|---------|-----> crashed (process gone without being asked)
///        `-> failed (never became ready)
///     idle, busy -> unhealthy -> idle | crashed
enum class WorkerState { loading, idle, busy, draining, unhealthy, stopped, crashed, failed };

[[nodiscard]] std::string_view to_string(WorkerState state);
[[nodiscard]] std::optional<WorkerState> parse_worker_state(std::string_view text);
/// New requests may be sent to a worker in this state.
[[nodiscard]] bool routable(WorkerState state);
/// The process is there, or on its way.
[[nodiscard]] bool alive(WorkerState state);

} // namespace rbee::domain
