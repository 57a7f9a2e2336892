#pragma once

#include "rbee/hive/settings.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>

namespace rbee::hive {

/// Stops workers that had no request for as long as they are kept (behaviour.md 4.6). How long that
/// is says the last request that said anything, else the settings of the model, else those of the
/// hive; pinned models stay whatever anybody says. It wakes up when a worker is due and not before.
/// Belongs to one loop; stop() before it goes.
class IdleStop {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        WorkerRegistry& registry;
        Supervisor& supervisor;
        const IdleSettings& settings;
    };

    explicit IdleStop(Dependencies dependencies);

    /// Watches until stop().
    void start();
    /// A worker came, went or has no request any more: one may be due sooner than was known.
    void changed();
    [[nodiscard]] boost::asio::awaitable<void> stop() { return tasks_.stop(); }

    /// When this worker is to be stopped if nothing comes; nothing when it stays.
    [[nodiscard]] std::optional<TimePoint> due(const WorkerRegistry::Entry& entry) const;

private:
    [[nodiscard]] boost::asio::awaitable<void> run();
    [[nodiscard]] boost::asio::awaitable<void> stop_worker(std::string id, std::string reason);
    /// Stops all that are due and returns when the next one will be.
    [[nodiscard]] TimePoint look();
    void begin_stop(const WorkerRegistry::Entry& entry);

    Dependencies with_;
    TimePoint next_ = TimePoint::max();
    runtime::Notifier woken_;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
