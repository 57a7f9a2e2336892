#include "rbee/queen/info_routes.hpp"

#include "rbee/api/gate.hpp"
#include "rbee/queen/views.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;

void InfoRoutes::mount(http::Router& router) {
    for (const char* path : {"/health", "/v1/health"}) {
        router.add(
            "GET",
            path,
            [this](http::Exchange& exchange) { return health(exchange); },
            http::Access::open
        );
    }
    const auto show = [&](const char* path, auto member) {
        router.add(
            "GET",
            path,
            [this, member](http::Exchange& exchange) { return (this->*member)(exchange); },
            http::Access::models
        );
    };
    show("/v1/status", &InfoRoutes::status);
    show("/v1/models", &InfoRoutes::models);
    show("/v1/models/{id}", &InfoRoutes::model);
    for (const char* path : {"/v1/admin/shutdown", "/v1/shutdown", "/shutdown"}) {
        router.add(
            "POST",
            path,
            [this](http::Exchange& exchange) { return shutdown(exchange); },
            http::Access::admin
        );
    }
}

asio::awaitable<void> InfoRoutes::health(http::Exchange& exchange) {
    json::object body{{"status", "ok"}, {"version", RBEE_VERSION}, {"api_version", "v1"}};
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> InfoRoutes::status(http::Exchange& exchange) {
    const Fleet& fleet = parts_.fleet;
    json::array hives;
    for (const auto& [name, hive] : fleet.hives()) {
        hives.push_back(view_of(fleet, hive));
    }
    json::array workers;
    for (const auto& [id, worker] : fleet.workers()) {
        workers.push_back(view_of(*worker));
    }
    json::array models;
    for (const auto& [name, known] : fleet.models()) {
        models.push_back(view_of(name, known));
    }
    const auto uptime =
        std::chrono::duration_cast<std::chrono::seconds>(parts_.clock.now() - started_).count();
    json::object body{
        {"status", "ok"},
        {"version", RBEE_VERSION},
        {"uptime_s", uptime},
        {"queue_depth", parts_.dispatcher.waiting()},
        {"queue_capacity", parts_.dispatcher.capacity()},
        {"in_flight",
         parts_.running.count() - std::min(parts_.running.count(), parts_.dispatcher.waiting())},
        {"hives", std::move(hives)},
        {"workers", std::move(workers)},
        {"models", std::move(models)},
    };
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> InfoRoutes::models(http::Exchange& exchange) {
    json::array data;
    for (const auto& [name, known] : parts_.fleet.models()) {
        data.push_back(view_of(name, known));
    }
    json::object body{{"object", "list"}, {"data", std::move(data)}};
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> InfoRoutes::model(http::Exchange& exchange) {
    const auto models = parts_.fleet.models();
    const auto found = models.find(exchange.path_parameters.at(0));
    if (found == models.end()) {
        Error error{Errc::not_found, "the model does not exist here", "MODEL_NOT_FOUND"};
        co_return co_await api::respond_error(exchange, std::move(error));
    }
    json::object body = view_of(found->first, found->second);
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> InfoRoutes::shutdown(http::Exchange& exchange) {
    json::object body{{"message", "shutting down"}};
    co_await api::respond_json(exchange, 202, std::move(body));
    parts_.on_shutdown();
}

} // namespace rbee::queen
