#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/http/router.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/hive_client.hpp"
#include "rbee/queen/node_store.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <functional>
#include <string>

namespace rbee::queen {

/// Hives: their own reports, and the node registry under /v1/hives and /v2/registry/beehives.
class HiveRoutes {
public:
    struct Parts {
        Fleet& fleet;
        HiveClient& hives;
        NodeStore& nodes;
        runtime::Timers& timers;
        const telemetry::Logger& log;
        audit::Logger* audit = nullptr; ///< Hears who comes and goes; or none.
    };

    explicit HiveRoutes(Parts parts)
        : fleet_(parts.fleet), hives_(parts.hives), nodes_(parts.nodes), timers_(parts.timers),
          log_(parts.log), audit_(parts.audit) {}

    void mount(http::Router& router);

private:
    [[nodiscard]] boost::asio::awaitable<void> heartbeat(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> list(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> show(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> add(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> remove(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> list_nodes(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> add_node(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> update_node(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> remove_node(http::Exchange& exchange);

    /// GET /v1/health in three attempts, with pauses of 200 and 400 ms.
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>> reach(http::Endpoint endpoint
    );
    /// Asks a hive that is to be added who it is.
    [[nodiscard]] boost::asio::awaitable<Result<api::HiveReport>> probe(http::Endpoint endpoint);
    [[nodiscard]] boost::asio::awaitable<Result<void>> forget(std::string name);
    [[nodiscard]] boost::asio::awaitable<Result<Node>>
    add_by_url(std::string name, std::string url);

    Fleet& fleet_;
    HiveClient& hives_;
    NodeStore& nodes_;
    runtime::Timers& timers_;
    telemetry::Logger log_;
    audit::Logger* audit_;
};

} // namespace rbee::queen
