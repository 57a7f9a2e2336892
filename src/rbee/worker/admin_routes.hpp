#pragma once

#include "rbee/http/exchange.hpp"
#include "rbee/http/router.hpp"
#include "rbee/worker/core.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>

namespace rbee::worker {

/// Health, readiness, loading progress and shutdown. Must outlive the router's server.
class AdminRoutes {
public:
    /// `shutdown` is called when a client asks the worker to stop.
    AdminRoutes(Core& core, std::function<void()> shutdown)
        : core_(core), shutdown_(std::move(shutdown)) {}

    void install(http::Router& router);

private:
    [[nodiscard]] boost::asio::awaitable<void> health(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> ready(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> progress(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> shutdown(http::Exchange& exchange);

    Core& core_;
    std::function<void()> shutdown_;
};

} // namespace rbee::worker
