#pragma once

#include "rbee/http/exchange.hpp"
#include "rbee/http/router.hpp"
#include "rbee/worker/core.hpp"
#include "rbee/worker/lease.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string_view>
#include <utility>

namespace rbee::worker {

/// Health, readiness, loading progress, shutdown and the change to another hive. Must outlive the
/// router's server.
class AdminRoutes {
public:
    /// `shutdown` is called when a client asks the worker to stop.
    AdminRoutes(Core& core, std::function<void()> shutdown)
        : core_(core), shutdown_(std::move(shutdown)) {}

    void install(http::Router& router);
    /// `take_hive` is called when another hive takes this worker over; its failure refuses that.
    void on_hive(std::function<Result<void>(const HiveNotice&)> take_hive) {
        take_hive_ = std::move(take_hive);
    }

private:
    [[nodiscard]] boost::asio::awaitable<void> health(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> ready(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> progress(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> shutdown(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> hive(http::Exchange& exchange);
    [[nodiscard]] Result<void> take_hive(std::string_view body);

    Core& core_;
    std::function<void()> shutdown_;
    std::function<Result<void>(const HiveNotice&)> take_hive_;
};

} // namespace rbee::worker
