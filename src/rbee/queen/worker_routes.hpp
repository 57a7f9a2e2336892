#pragma once

#include "rbee/http/router.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/hive_client.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <memory>
#include <string>

namespace rbee::queen {

/// Everything about workers, under /v1 and /v2 alike (decision D-03).
class WorkerRoutes {
public:
    struct Parts {
        Fleet& fleet;
        HiveClient& hives;
        const telemetry::Logger& log;
    };

    explicit WorkerRoutes(Parts parts)
        : fleet_(parts.fleet), hives_(parts.hives), log_(parts.log) {}

    void mount(http::Router& router);

private:
    using Member = boost::asio::awaitable<void> (WorkerRoutes::*)(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> of_worker(http::Exchange& exchange, Member member);
    [[nodiscard]] boost::asio::awaitable<void> list(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> show(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> health(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> register_worker(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> patch(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> heartbeat(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> ready(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> remove(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> shutdown(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> spawn(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> pass_on(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> postmortem(http::Exchange& exchange);

    [[nodiscard]] boost::asio::awaitable<Result<void>>
    stop_worker(std::string id, std::string correlation_id);
    /// Asks a hive how its workers are. Its own report comes a moment later, from a hive that was
    /// added by its URL not at all; a client that started a worker asks before.
    [[nodiscard]] boost::asio::awaitable<void> refresh(std::string hive_name);
    [[nodiscard]] Result<std::string> hive_for(const api::SpawnRequest& request) const;

    Fleet& fleet_;
    HiveClient& hives_;
    telemetry::Logger log_;
};

} // namespace rbee::queen
