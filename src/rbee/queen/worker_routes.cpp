#include "rbee/queen/worker_routes.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/json.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/http/relay.hpp"
#include "rbee/queen/registration.hpp"
#include "rbee/queen/views.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Stopping a worker lets its requests finish (behaviour.md 5.6).
constexpr Duration stop_max = std::chrono::seconds(60);
constexpr Duration spawn_max = std::chrono::seconds(30);

Error worker_not_found() {
    return {Errc::not_found, "no worker of this id is registered", "WORKER_NOT_FOUND"};
}

Result<void> check_node(const std::optional<std::string>& node) {
    return node ? domain::check_node_name(*node) : Result<void>();
}

} // namespace

void WorkerRoutes::mount(http::Router& router) {
    for (const std::string base : {"/v1/workers", "/v2/workers"}) {
        const auto add = [&](const char* method,
                             const std::string& rest,
                             Member member,
                             http::Access access = http::Access::admin) {
            const bool of_one = rest.starts_with("/{id}");
            router.add(
                method,
                base + rest,
                [this, member, of_one](http::Exchange& exchange) {
                    return of_one ? of_worker(exchange, member) : (this->*member)(exchange);
                },
                access
            );
        };
        add("GET", "", &WorkerRoutes::list, http::Access::models);
        add("GET", "/list", &WorkerRoutes::list, http::Access::models);
        add("GET", "/health", &WorkerRoutes::health, http::Access::models);
        add("POST", "/register", &WorkerRoutes::register_worker, http::Access::hive);
        add("POST", "/ready", &WorkerRoutes::ready, http::Access::hive);
        add("POST", "/spawn", &WorkerRoutes::spawn);
        add("POST", "/shutdown", &WorkerRoutes::shutdown);
        add("GET", "/{id}", &WorkerRoutes::show, http::Access::models);
        add("PATCH", "/{id}", &WorkerRoutes::patch);
        add("DELETE", "/{id}", &WorkerRoutes::remove);
        add("POST", "/{id}/heartbeat", &WorkerRoutes::heartbeat, http::Access::hive);
        add("GET", "/{id}/logs", &WorkerRoutes::pass_on);
        add("GET", "/{id}/postmortem", &WorkerRoutes::postmortem);
        add("GET", "/{id}/progress", &WorkerRoutes::pass_on, http::Access::models);
        add("POST", "/{id}/restart", &WorkerRoutes::pass_on);
    }
}

/// Handlers of one worker need not look at its id again.
asio::awaitable<void> WorkerRoutes::of_worker(http::Exchange& exchange, Member member) {
    if (const auto good = domain::check_worker_id(exchange.path_parameters.at(0)); !good) {
        co_return co_await api::respond_error(exchange, good.error());
    }
    co_await (this->*member)(exchange);
}

// What there is
// ------------------------------------------------------------------------------------

asio::awaitable<void> WorkerRoutes::list(http::Exchange& exchange) {
    const auto capability = exchange.head().query_parameter("capability");
    const auto model = exchange.head().query_parameter("model");
    const auto node = exchange.head().query_parameter("node");
    for (const Result<void>& good :
         {domain::check_text("capability", capability.value_or("")),
          domain::check_text("model", model.value_or("")),
          check_node(node)}) {
        if (!good) {
            co_return co_await api::respond_error(exchange, good.error());
        }
    }
    json::array workers;
    for (const auto& [id, worker] : fleet_.workers()) {
        const auto has = [](const std::vector<std::string>& all, const auto& one) {
            return !one || std::ranges::find(all, *one) != all.end();
        };
        if (has(worker->capabilities, capability) && has(worker->names, model) &&
            (!node || *node == worker->hive)) {
            workers.push_back(view_of(*worker));
        }
    }
    json::object body{{"workers", std::move(workers)}};
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> WorkerRoutes::show(http::Exchange& exchange) {
    const std::string& id = exchange.path_parameters.at(0);
    auto worker = fleet_.find_worker(id);
    if (worker && worker->state() == domain::WorkerState::loading && !worker->hive.empty()) {
        co_await refresh(worker->hive); // who asks now waits for it
        worker = fleet_.find_worker(id);
    }
    if (!worker) {
        co_return co_await api::respond_error(exchange, worker_not_found());
    }
    json::object body = view_of(*worker);
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> WorkerRoutes::health(http::Exchange& exchange) {
    const auto node = exchange.head().query_parameter("node");
    if (const auto good = check_node(node); !good) {
        co_return co_await api::respond_error(exchange, good.error());
    }
    if (node && fleet_.find_hive(*node) == nullptr) {
        Error error{
            Errc::not_found,
            "no hive of this name is known; add it with `rbee hives add`",
            "NODE_NOT_FOUND"
        };
        co_return co_await api::respond_error(exchange, std::move(error));
    }
    json::array workers;
    for (const auto& [id, worker] : fleet_.workers()) {
        if (!node || worker->hive == *node) {
            const auto state = worker->state();
            workers.push_back(json::object{
                {"worker_id", id},
                {"state", domain::to_string(state)},
                {"ready", state == domain::WorkerState::idle},
            });
        }
    }
    json::object body{{"status", "ok"}, {"workers", std::move(workers)}};
    co_await api::respond_json(exchange, 200, std::move(body));
}

// What workers say of themselves
// -------------------------------------------------------------------

asio::awaitable<void> WorkerRoutes::register_worker(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    if (!body) {
        co_return co_await api::respond_error(exchange, body.error());
    }
    auto registration = registration_from(*body);
    if (!registration) {
        co_return co_await api::respond_error(exchange, registration.error());
    }
    const std::string id = registration->info.id;
    const auto is_new = fleet_.register_worker(std::move(*registration));
    if (!is_new) {
        co_return co_await api::respond_error(exchange, is_new.error());
    }
    log_.with_correlation(exchange.correlation_id())
        .info("worker_registered", "a worker registered", {{"worker_id", id}, {"new", *is_new}});
    json::object answer{{"success", true}, {"message", "worker registered"}, {"worker_id", id}};
    co_await api::respond_json(exchange, *is_new ? 201 : 200, std::move(answer));
}

asio::awaitable<void> WorkerRoutes::ready(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    if (!body) {
        co_return co_await api::respond_error(exchange, body.error());
    }
    auto registration = registration_from(*body);
    if (!registration) {
        co_return co_await api::respond_error(exchange, registration.error());
    }
    const std::string id = registration->info.id;
    // A worker that is known already is only said to be ready now.
    if (const auto known = fleet_.set_state(id, domain::WorkerState::idle); !known) {
        const auto added = fleet_.register_worker(std::move(*registration));
        if (!added) {
            co_return co_await api::respond_error(exchange, added.error());
        }
    }
    json::object answer{{"success", true}, {"message", "worker is ready"}, {"worker_id", id}};
    co_await api::respond_json(exchange, 200, std::move(answer));
}

asio::awaitable<void> WorkerRoutes::patch(http::Exchange& exchange) {
    const std::string id = exchange.path_parameters.at(0);
    const auto body = co_await api::read_object(exchange);
    if (!body) {
        co_return co_await api::respond_error(exchange, body.error());
    }
    const auto text = api::require_string(*body, "state");
    if (!text) {
        co_return co_await api::respond_error(exchange, text.error());
    }
    const auto state = domain::parse_worker_state(*text == "ready" ? "idle" : *text);
    if (!state) {
        Error error =
            domain::field_error("state", "one_of(worker states)", "state is not a worker state");
        co_return co_await api::respond_error(exchange, std::move(error));
    }
    if (const auto set = fleet_.set_state(id, *state); !set) {
        co_return co_await api::respond_error(exchange, set.error());
    }
    const auto worker = fleet_.find_worker(id);
    json::object answer = worker ? view_of(*worker) : json::object();
    co_await api::respond_json(exchange, 200, std::move(answer));
}

asio::awaitable<void> WorkerRoutes::heartbeat(http::Exchange& exchange) {
    if (const auto noted = fleet_.heartbeat(exchange.path_parameters.at(0)); !noted) {
        co_return co_await api::respond_error(exchange, noted.error());
    }
    json::object answer{{"message", "heartbeat noted"}};
    co_await api::respond_json(exchange, 200, std::move(answer));
}

// What hives are asked to do
// -----------------------------------------------------------------------

asio::awaitable<Result<void>>
WorkerRoutes::stop_worker(std::string id, std::string correlation_id) {
    const auto worker = fleet_.find_worker(id);
    if (!worker) {
        co_return std::unexpected(worker_not_found());
    }
    if (!worker->external) {
        api::ApiClient::Request request;
        request.method = "DELETE";
        request.target = "/v1/workers/" + id;
        request.correlation_id = std::move(correlation_id);
        http::CallOptions limits;
        limits.head_limit = stop_max;
        const auto stopped = co_await hives_.call(worker->endpoint, std::move(request), limits);
        const bool was_gone = !stopped && stopped.error().code == Errc::not_found;
        if (!stopped && !was_gone) {
            co_return std::unexpected(for_client(stopped.error()));
        }
    }
    fleet_.remove_worker(id);
    co_return Result<void>();
}

asio::awaitable<void> WorkerRoutes::remove(http::Exchange& exchange) {
    const auto stopped =
        co_await stop_worker(exchange.path_parameters.at(0), exchange.correlation_id());
    if (!stopped) {
        co_return co_await api::respond_error(exchange, stopped.error());
    }
    http::Response done;
    done.status = 204;
    const auto sent = co_await exchange.respond(std::move(done));
    (void)sent; // the worker is stopped, whether or not they hear of it
}

asio::awaitable<void> WorkerRoutes::shutdown(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    const auto id =
        body ? api::require_string(*body, "worker_id") : Result<std::string>(error_of(body));
    const auto good = id ? domain::check_worker_id(*id) : Result<void>(error_of(id));
    if (!good) {
        co_return co_await api::respond_error(exchange, good.error());
    }
    const auto stopped = co_await stop_worker(*id, exchange.correlation_id());
    if (!stopped) {
        co_return co_await api::respond_error(exchange, stopped.error());
    }
    json::object answer{{"success", true}, {"message", "worker stopped"}};
    co_await api::respond_json(exchange, 200, std::move(answer));
}

Result<std::string> WorkerRoutes::hive_for(const api::SpawnRequest& request) const {
    if (!request.node.empty()) {
        if (fleet_.find_hive(request.node) == nullptr) {
            return fail(
                Errc::not_found,
                "no hive of this name is known; add it with `rbee hives add`",
                "NODE_NOT_FOUND"
            );
        }
        return request.node;
    }
    const auto plan = fleet_.plan_spawn({request.model_ref, {}});
    if (plan && request.model_path.empty()) {
        return plan->hive;
    }
    // No hive lists the model; one of them may be able to fetch it.
    for (const auto& [name, hive] : fleet_.hives()) {
        if (hive.available) {
            return name;
        }
    }
    return error_of(plan);
}

asio::awaitable<void> WorkerRoutes::refresh(std::string hive_name) {
    const Hive* hive = fleet_.find_hive(hive_name);
    if (hive == nullptr) {
        co_return;
    }
    const TimePoint before = hive->last_report;
    auto report = co_await hives_.report(hive->endpoint);
    hive = fleet_.find_hive(hive_name);
    // A report that came by itself in the meantime is the newer one.
    if (report && hive != nullptr && hive->last_report == before) {
        report->hive_id = hive_name;
        fleet_.apply(std::move(*report));
    }
}

asio::awaitable<void> WorkerRoutes::spawn(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    auto wish = body ? api::spawn_from_json(*body) : Result<api::SpawnRequest>(error_of(body));
    if (!wish) {
        co_return co_await api::respond_error(exchange, wish.error());
    }
    const auto hive_name = hive_for(*wish);
    if (!hive_name) {
        co_return co_await api::respond_error(exchange, hive_name.error());
    }
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/v1/workers/spawn";
    wish->node.clear();
    request.body = json::serialize(api::to_json(*wish));
    request.headers.add("X-Correlation-Id", exchange.correlation_id());
    http::CallOptions limits;
    limits.head_limit = spawn_max;
    limits.cancel = &exchange.cancel();
    auto answer =
        co_await hives_.fetch(fleet_.find_hive(*hive_name)->endpoint, std::move(request), limits);
    if (!answer) {
        co_return co_await api::respond_error(exchange, for_client(answer.error()));
    }
    if (auto object = api::parse_object(answer->body); object && answer->status < 400) {
        const auto id = api::require_string(*object, "worker_id");
        if (id && !fleet_.find_worker(*id)) {
            co_await refresh(*hive_name);
        }
        (*object)["hive"] = *hive_name;
        answer->status = 200;
        answer->body = json::serialize(*object);
    }
    const auto sent = co_await exchange.respond(std::move(*answer));
    (void)sent; // the client may have gone; there is nobody else to tell
}

/// Logs and progress come from the hive as they are.
asio::awaitable<void> WorkerRoutes::pass_on(http::Exchange& exchange) {
    const auto worker = fleet_.find_worker(exchange.path_parameters.at(0));
    if (!worker) {
        co_return co_await api::respond_error(exchange, worker_not_found());
    }
    const auto body = co_await exchange.read_body(api::control_body_bytes_max);
    if (!body) {
        co_return co_await api::respond_error(exchange, body.error());
    }
    http::ClientRequest request;
    request.method = exchange.head().method;
    request.target = exchange.head().target;
    if (request.target.starts_with("/v2/")) {
        request.target[2] = '1';
    }
    request.headers.add("X-Correlation-Id", exchange.correlation_id());
    http::CallOptions limits;
    limits.body_limit = std::chrono::minutes(10); // a log that is followed may be quiet
    limits.cancel = &exchange.cancel();
    const auto upstream = co_await hives_.open(worker->endpoint, std::move(request), limits);
    if (!upstream) {
        co_return co_await api::respond_error(exchange, for_client(upstream.error()));
    }
    const std::string& id = exchange.correlation_id();
    const auto frame = [&id](const Error& error) {
        return api::error_frame(api::StreamDialect::openai, for_client(error), id);
    };
    const auto outcome = co_await http::relay(**upstream, exchange, frame);
    (void)outcome; // the client has been told what there is to tell
}

} // namespace rbee::queen
