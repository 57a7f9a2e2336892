#pragma once

#include "rbee/domain/progress_watch.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace rbee::hive {

/// Ends workers that live and do not work: whose inference loop owes answers and stands still,
/// whose event loop stands still, whose load does not advance. Looks at their pulse pages, which
/// costs a few loads, and has them aborted, then killed. Belongs to one loop; stop() before it
/// goes.
class StallWatch {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        const WorkerRegistry& registry;
        Supervisor& supervisor;
        const domain::ProgressLimits& limits;
    };

    explicit StallWatch(Dependencies dependencies);

    /// Looks until stop().
    void start();
    [[nodiscard]] boost::asio::awaitable<void> stop() { return tasks_.stop(); }
    /// One round.
    void look();

private:
    /// One process of a worker: its id and generation.
    using Key = std::pair<std::string, std::uint64_t>;

    [[nodiscard]] boost::asio::awaitable<void> run();
    void look_at(const WorkerRegistry::Entry& entry);
    void forget_ended();

    Dependencies with_;
    std::map<Key, domain::ProgressWatch> watches_;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
