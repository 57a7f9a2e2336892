#pragma once

#include "rbee/engine/engine.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/router.hpp"
#include "rbee/worker/core.hpp"

#include <boost/asio/awaitable.hpp>

namespace rbee::worker {

/// The endpoints that the engine answers by itself and that take no slot: embeddings, rerank,
/// tokenize and their kind. Its errors come out in our shape. Must outlive the router's server.
class EngineRoutes {
public:
    explicit EngineRoutes(Core& core) : core_(core) {}

    void install(http::Router& router);

private:
    [[nodiscard]] boost::asio::awaitable<void> serve(http::Exchange& exchange, engine::Route route);
    [[nodiscard]] boost::asio::awaitable<engine::Reply> call(engine::Call call);

    Core& core_;
};

} // namespace rbee::worker
