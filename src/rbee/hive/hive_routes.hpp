#pragma once

#include "rbee/hive/hive_view.hpp"
#include "rbee/hive/postmortem_store.hpp"
#include "rbee/hive/rolling_restart.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/spawn_service.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/router.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::hive {

/// The control endpoints of a hive (behaviour.md 4.2): workers, models, resources, shutdown.
/// Belongs to one loop.
class HiveRoutes {
public:
    struct Dependencies {
        runtime::Timers& timers;
        const Settings& settings;
        WorkerRegistry& registry;
        Supervisor& supervisor;
        SpawnService& spawner;
        RollingRestart& restarts;
        HiveView& view;
        PostmortemStore& postmortems;
        runtime::BlockingPool& pool;
        std::function<void(std::string reason)> shut_down; ///< Begins an orderly stop.
    };

    explicit HiveRoutes(Dependencies dependencies) : with_(std::move(dependencies)) {}

    void add_routes(http::Router& router);
    /// Ends the streams that would otherwise go on as long as their clients want.
    void stop() { stopping_ = true; }

private:
    using Member = boost::asio::awaitable<void> (HiveRoutes::*)(http::Exchange&);
    [[nodiscard]] http::Handler bound(Member member);

    [[nodiscard]] boost::asio::awaitable<void> health(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> report(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> models(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> backends(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> resources(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> shutdown(http::Exchange& exchange);

    [[nodiscard]] boost::asio::awaitable<void> list(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> inspect(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> spawn(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> remove(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> restart(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> ready(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> heartbeat(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> logs(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> follow(http::Exchange& exchange, std::uint64_t from);
    [[nodiscard]] boost::asio::awaitable<void> progress(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> postmortem(http::Exchange& exchange);

    /// The worker that the path names. Fails with Errc::invalid_argument or WORKER_NOT_FOUND.
    [[nodiscard]] Result<const WorkerRegistry::Entry*> named(const http::Exchange& exchange) const;

    /// Errc::forbidden unless the worker `id` itself asks.
    [[nodiscard]] Result<void>
    from_itself(const http::Exchange& exchange, std::string_view id) const;

    Dependencies with_;
    bool stopping_ = false;
};

} // namespace rbee::hive
