#pragma once

#include <optional>
#include <string_view>

namespace rbee::domain {

/// Life of a worker as the registries of hive and queen see it. A worker is a slot that lives over
/// restarts: its id stays, its process changes (behaviour.md 12, reliability.md 2.2).
///
///     loading -> idle <-> busy -> draining -> stopped
///     any of these, unhealthy -> dying -> backoff -> loading -> ...
///     dying -> crashed (no restart follows) | failed (no restart would help) | stopped (asked for)
///     loading -> failed (the worker says that it cannot load this model)
///     idle, busy -> unhealthy -> idle
///
/// `dying`: the kernel takes the process apart; its memory is not free yet. `backoff`: the process
/// has gone and a restart is due, after a delay or when the circuit breaker allows a trial.
enum class WorkerState {
    loading,
    idle,
    busy,
    draining,
    unhealthy,
    dying,
    backoff,
    stopped,
    crashed,
    failed,
};

[[nodiscard]] std::string_view to_string(WorkerState state);
[[nodiscard]] std::optional<WorkerState> parse_worker_state(std::string_view text);
/// New requests may be sent to a worker in this state.
[[nodiscard]] bool routable(WorkerState state);
/// The process is there, or on its way.
[[nodiscard]] bool alive(WorkerState state);
/// It takes no requests now but will without anybody's help, if all goes well: worth waiting for.
[[nodiscard]] bool coming_back(WorkerState state);

} // namespace rbee::domain
