#pragma once

#include "rbee/queen/dispatcher.hpp"

#include <optional>
#include <string>
#include <vector>

/// What the dispatcher keeps for those who wait; for its own files only.
namespace rbee::queen {

/// One request in the line.
struct Dispatcher::Waiting {
    Waiting(runtime::Timers& timers, const Demand& demand)
        : wanted(demand.wanted), correlation_id(demand.correlation_id), give_up(demand.give_up),
          woken(timers) {}
    domain::Wanted wanted;
    std::string correlation_id;
    std::optional<TimePoint> give_up; ///< It is of no use to it after this.
    std::optional<Lease> lease;
    std::optional<Error> failure;
    runtime::Notifier woken;
};

/// One worker that is being started for those who wait.
struct Dispatcher::Spawn {
    Fleet::SpawnPlan plan;
    std::vector<domain::Wanted> wanted; ///< What its waiters asked for.
    std::string correlation_id;         ///< Of the request that began it.
    std::string worker_id;
};

} // namespace rbee::queen
