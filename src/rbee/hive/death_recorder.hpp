#pragma once

#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/postmortem_store.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/process/oom_watch.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace rbee::hive {

/// Writes down how workers died: metrics, post-mortems, the line that lists show, and whether the
/// lack of memory was the cause. Belongs to one loop; stop() before it goes.
class DeathRecorder {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        HiveMetrics& metrics;
        WorkerRegistry& registry;
        runtime::BlockingPool& pool;
        const Settings& settings;
    };
    /// How often evidence of the kernel is let go of; see process::OomWatch::refresh().
    static constexpr Duration freshness = std::chrono::seconds(30);

    explicit DeathRecorder(Dependencies dependencies);

    /// Listens from now on. After the one that decides about restarts: what comes next is recorded
    /// too.
    void attach(Supervisor& supervisor);
    /// Learns the deaths of earlier lives of the hive, and keeps the evidence of the kernel fresh.
    void start();
    [[nodiscard]] boost::asio::awaitable<void> stop();

    /// The registry has changed: a worker that had died may serve again.
    void look();

    [[nodiscard]] PostmortemStore& store() { return store_; }

private:
    [[nodiscard]] std::string oom_evidence(const Supervisor::ExitReport& report);
    void dying(const std::string& id);
    void ended(Supervisor::ExitReport report);
    [[nodiscard]] Postmortem::Outlook outlook(const std::string& id) const;
    [[nodiscard]] boost::asio::awaitable<void> keep_fresh();

    Dependencies with_;
    process::OomWatch oom_;
    /// Requests of workers whose death was noticed before their processes had gone: they have left
    /// by then.
    std::map<std::string, std::vector<std::string>, std::less<>> requests_;
    std::map<std::string, TimePoint, std::less<>> down_since_; ///< Workers that may come back.
    PostmortemStore store_;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
