#pragma once

#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/machine.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace rbee::hive {

/// Looks at the workers on a beat: do they answer, how much memory do they use, are their logs
/// within bounds. Ends of processes are noticed elsewhere, at once. Belongs to one loop; stop()
/// before it goes.
class HealthMonitor {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        HiveMetrics& metrics;
        WorkerRegistry& registry;
        Supervisor& supervisor;
        Machine& machine;
        runtime::BlockingPool& pool;
        const Settings& settings;
    };

    explicit HealthMonitor(Dependencies dependencies);

    /// Looks until stop().
    void start();
    /// One round; returns when every check has been started.
    void look();
    [[nodiscard]] boost::asio::awaitable<void> stop() { return tasks_.stop(); }

private:
    [[nodiscard]] boost::asio::awaitable<void> run();
    [[nodiscard]] boost::asio::awaitable<void> check(std::string worker_id);
    [[nodiscard]] boost::asio::awaitable<void> bound_logs();

    Dependencies with_;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
