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
    router.add("GET", "/v1/report", bound(&HiveRoutes::report));
    router.add("GET", "/v1/models", bound(&HiveRoutes::models));
    router.add("GET", "/v1/backends", bound(&HiveRoutes::backends));
    router.add("GET", "/v1/resources", bound(&HiveRoutes::resources));
    for (const char* path : {"/v1/admin/shutdown", "/v1/shutdown", "/shutdown"}) {
        router.add("POST", path, bound(&HiveRoutes::shutdown));
    }
    for (const char* path : {"/v1/workers/list", "/v1/workers"}) {
        router.add("GET", path, bound(&HiveRoutes::list));
    }
    router.add("POST", "/v1/workers/spawn", bound(&HiveRoutes::spawn));
    router.add("POST", "/v1/workers/ready", bound(&HiveRoutes::ready));
    router.add("POST", "/v1/heartbeat", bound(&HiveRoutes::heartbeat));
    router.add("GET", "/v1/workers/{id}", bound(&HiveRoutes::inspect));
    router.add("DELETE", "/v1/workers/{id}", bound(&HiveRoutes::remove));
    router.add("GET", "/v1/workers/{id}/logs", bound(&HiveRoutes::logs));
    router.add("GET", "/v1/workers/{id}/progress", bound(&HiveRoutes::progress));
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
