#include "rbee/hive/hive_routes.hpp"

#include "rbee/api/gate.hpp"

#include <boost/json/array.hpp>

#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;
namespace json = boost::json;

http::Handler HiveRoutes::bound(Member member) {
    return [this, member](http::Exchange& exchange) { return (this->*member)(exchange); };
}

void HiveRoutes::add_routes(http::Router& router) {
    for (const char* path : {"/health", "/v1/health"}) {
        router.add("GET", path, bound(&HiveRoutes::health), http::Access::open);
    }
    router.add("GET", "/v1/report", bound(&HiveRoutes::report), http::Access::models);
    router.add("GET", "/v1/models", bound(&HiveRoutes::models), http::Access::models);
    router.add("GET", "/v1/backends", bound(&HiveRoutes::backends), http::Access::models);
    router.add("GET", "/v1/resources", bound(&HiveRoutes::resources), http::Access::models);
    for (const char* path : {"/v1/admin/shutdown", "/v1/shutdown", "/shutdown"}) {
        router.add("POST", path, bound(&HiveRoutes::shutdown), http::Access::admin);
    }
    for (const char* path : {"/v1/workers/list", "/v1/workers"}) {
        router.add("GET", path, bound(&HiveRoutes::list), http::Access::models);
    }
    router.add("POST", "/v1/workers/spawn", bound(&HiveRoutes::spawn), http::Access::admin);
    router.add("POST", "/v1/workers/ready", bound(&HiveRoutes::ready), http::Access::worker);
    router.add("POST", "/v1/heartbeat", bound(&HiveRoutes::heartbeat), http::Access::worker);
    router.add("GET", "/v1/workers/{id}", bound(&HiveRoutes::inspect), http::Access::models);
    router.add("DELETE", "/v1/workers/{id}", bound(&HiveRoutes::remove), http::Access::admin);
    router.add(
        "POST", "/v1/workers/{id}/restart", bound(&HiveRoutes::restart), http::Access::admin
    );
    router.add("GET", "/v1/workers/{id}/logs", bound(&HiveRoutes::logs), http::Access::admin);
    router.add(
        "GET", "/v1/workers/{id}/postmortem", bound(&HiveRoutes::postmortem), http::Access::admin
    );
    router.add(
        "GET", "/v1/workers/{id}/progress", bound(&HiveRoutes::progress), http::Access::models
    );
}

asio::awaitable<void> HiveRoutes::health(http::Exchange& exchange) {
    co_await api::respond_json(
        exchange, 200, {{"status", "alive"}, {"version", RBEE_VERSION}, {"api_version", "v1"}}
    );
}

asio::awaitable<void> HiveRoutes::report(http::Exchange& exchange) {
    const api::HiveReport report = co_await with_.view.report();
    co_await api::respond_json(exchange, 200, api::to_json(report));
}

asio::awaitable<void> HiveRoutes::models(http::Exchange& exchange) {
    const std::vector<api::ModelEntry> models = co_await with_.view.models();
    // Readable by OpenAI clients too: `object` and `data` are theirs.
    json::array data;
    for (const api::ModelEntry& model : models) {
        json::object entry = api::to_json(model);
        entry["object"] = "model";
        entry["owned_by"] = "rbee";
        data.push_back(std::move(entry));
    }
    json::object body{{"object", "list"}};
    body["data"] = data;
    body["models"] = std::move(data);
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> HiveRoutes::backends(http::Exchange& exchange) {
    auto body = co_await with_.view.backends();
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> HiveRoutes::resources(http::Exchange& exchange) {
    auto body = co_await with_.view.resources();
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> HiveRoutes::shutdown(http::Exchange& exchange) {
    co_await api::respond_json(exchange, 202, {{"message", "shutting down"}});
    with_.shut_down("asked for by " + (exchange.actor.empty() ? exchange.peer() : exchange.actor));
}

} // namespace rbee::hive
