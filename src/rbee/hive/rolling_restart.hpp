#pragma once

#include "rbee/hive/preflight.hpp"
#include "rbee/hive/restarter.hpp"
#include "rbee/hive/spawn_service.hpp"
#include "rbee/hive/start_gate.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>
#include <set>
#include <string>

namespace rbee::hive {

/// Restarts workers because somebody asked for it. One that serves is replaced: the new one first,
/// and when it is ready the old one stops. Where there is no room for both, the old one stops
/// first and keeps its id. Belongs to one loop; stop() before it goes.
class RollingRestart {
public:
    struct Dependencies {
        boost::asio::any_io_executor executor;
        telemetry::Logger& log;
        WorkerRegistry& registry;
        Supervisor& supervisor;
        StartGate& gate;
        Restarter& restarter;
        SpawnService& spawner;
    };

    /// What was begun.
    struct Begun {
        std::string worker_id; ///< Of the worker that is there when it is done.
        std::string replaces;  ///< The one that goes when the other is ready; empty: it stays.
        std::string note;      ///< For people; may be empty.
    };

    explicit RollingRestart(Dependencies dependencies);

    /// Closes the circuit breaker and begins a restart; it goes on when this has returned. Fails
    /// with WORKER_NOT_FOUND, with Errc::conflict for a worker that is on its way out or whose
    /// restart goes on, or as a spawn does.
    [[nodiscard]] boost::asio::awaitable<Checked<Begun>>
    begin(std::string id, std::string correlation_id);
    [[nodiscard]] boost::asio::awaitable<void> stop() { return tasks_.stop(); }

private:
    [[nodiscard]] boost::asio::awaitable<Checked<Begun>>
    roll(std::string id, Supervisor::Order order);
    [[nodiscard]] boost::asio::awaitable<void> replace(std::string old_id, std::string new_id);
    [[nodiscard]] boost::asio::awaitable<void> in_place(std::string id);

    Dependencies with_;
    std::set<std::string, std::less<>> going_on_; ///< Ids of workers whose restart has begun.
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
