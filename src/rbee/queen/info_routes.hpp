#pragma once

#include "rbee/api/running.hpp"
#include "rbee/http/router.hpp"
#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/fleet.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>

namespace rbee::queen {

/// Health, status, models and shutdown.
class InfoRoutes {
public:
    struct Parts {
        const Fleet& fleet;
        const Dispatcher& dispatcher;
        const api::RunningRequests& running;
        const Clock& clock;
        std::function<void()> on_shutdown;
    };

    explicit InfoRoutes(Parts parts) : parts_(std::move(parts)), started_(parts_.clock.now()) {}

    void mount(http::Router& router);

private:
    [[nodiscard]] boost::asio::awaitable<void> health(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> status(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> models(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> model(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> shutdown(http::Exchange& exchange);

    Parts parts_;
    TimePoint started_;
};

} // namespace rbee::queen
