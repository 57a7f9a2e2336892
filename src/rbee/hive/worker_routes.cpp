// The part of HiveRoutes that concerns single workers.
#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/json.hpp"
#include "rbee/base/text.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/hive/hive_routes.hpp"
#include "rbee/hive/log_tail.hpp"
#include "rbee/http/relay.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::uint64_t log_lines_default = 200;
constexpr std::uint64_t log_lines_max = 10'000;
constexpr Duration follow_beat = std::chrono::milliseconds(250);

/// The flag of a query; nothing when it is neither. Without a value it is set.
std::optional<bool> read_flag(const std::optional<std::string>& value) {
    const bool yes = value && (*value == "1" || *value == "true" || value->empty());
    const bool no = !value || *value == "0" || *value == "false";
    return yes || no ? std::optional(yes) : std::nullopt;
}

/// Answers with an error and the numbers behind it.
asio::awaitable<void> respond_refusal(http::Exchange& exchange, Refusal refusal) {
    auto response = api::error_response(refusal.error, exchange.correlation_id(), refusal.details);
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // the client may have gone; there is nobody else to tell
}

asio::awaitable<void> respond_empty(http::Exchange& exchange) {
    const auto sent = co_await exchange.respond({.status = 204});
    (void)sent; // the client may have gone; it is done all the same
}

} // namespace

Result<const WorkerRegistry::Entry*> HiveRoutes::named(const http::Exchange& exchange) const {
    const std::string& id = exchange.path_parameters.at(0);
    if (const auto ok = domain::check_worker_id(id); !ok) {
        return error_of(ok);
    }
    const WorkerRegistry::Entry* entry = with_.registry.find(id);
    if (entry == nullptr) {
        return fail(Errc::not_found, "there is no such worker on this hive", "WORKER_NOT_FOUND");
    }
    return entry;
}

Result<void> HiveRoutes::from_itself(const http::Exchange& exchange, std::string_view id) const {
    const bool known = with_.registry.find(id) != nullptr; // strangers: 404, as everywhere
    if (known && exchange.principal != worker_token_name(id)) {
        return fail(Errc::forbidden, "a worker reports for itself only, with its own token");
    }
    return {};
}

asio::awaitable<void> HiveRoutes::list(http::Exchange& exchange) {
    json::array workers;
    for (const api::WorkerInfo& worker : with_.registry.list()) {
        workers.push_back(api::to_json(worker));
    }
    co_await api::respond_json(exchange, 200, {{"workers", std::move(workers)}});
}

asio::awaitable<void> HiveRoutes::inspect(http::Exchange& exchange) {
    const auto entry = named(exchange);
    if (!entry) {
        co_await api::respond_error(exchange, entry.error());
        co_return;
    }
    json::object body = api::to_json((*entry)->info);
    body["in_flight"] = (*entry)->in_flight;
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> HiveRoutes::spawn(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    if (!body) {
        co_await api::respond_error(exchange, body.error());
        co_return;
    }
    auto request = api::spawn_from_json(*body);
    if (!request) {
        co_await api::respond_error(exchange, request.error());
        co_return;
    }
    auto started = co_await with_.spawner.spawn(
        std::move(*request), exchange.correlation_id(), exchange.actor
    );
    if (!started) {
        co_await respond_refusal(exchange, std::move(started.error()));
        co_return;
    }
    co_await api::respond_json(
        exchange,
        200,
        {{"worker_id", started->id},
         {"url", started->url},
         {"state", "loading"},
         {"model", started->model},
         {"model_ref", started->model_ref},
         {"device", started->device}}
    );
}

asio::awaitable<void> HiveRoutes::remove(http::Exchange& exchange) {
    const auto entry = named(exchange);
    if (!entry) {
        co_await api::respond_error(exchange, entry.error());
        co_return;
    }
    const auto stopped = co_await with_.supervisor.stop((*entry)->info.id, "a client asked for it");
    if (!stopped) {
        co_await api::respond_error(exchange, stopped.error());
        co_return;
    }
    co_await respond_empty(exchange);
}

asio::awaitable<void> HiveRoutes::restart(http::Exchange& exchange) {
    const auto entry = named(exchange);
    if (!entry) {
        co_await api::respond_error(exchange, entry.error());
        co_return;
    }
    auto begun = co_await with_.restarts.begin((*entry)->info.id, exchange.correlation_id());
    if (!begun) {
        co_await respond_refusal(exchange, std::move(begun.error()));
        co_return;
    }
    json::object body{{"worker_id", begun->worker_id}, {"state", "loading"}};
    body["replaces"] =
        begun->replaces.empty() ? json::value(nullptr) : json::value(begun->replaces);
    if (!begun->note.empty()) {
        body["note"] = begun->note;
    }
    co_await api::respond_json(exchange, 202, std::move(body));
}

asio::awaitable<void> HiveRoutes::ready(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    const auto notice =
        body ? api::ready_from_json(*body) : Result<api::ReadyNotice>(error_of(body));
    const auto own =
        notice ? from_itself(exchange, notice->worker_id) : Result<void>(error_of(notice));
    const auto done = own ? with_.supervisor.report(*notice) : own;
    if (!done) {
        co_await api::respond_error(exchange, done.error());
        co_return;
    }
    co_await api::respond_json(exchange, 200, {{"message", "Worker registered as ready"}});
}

asio::awaitable<void> HiveRoutes::heartbeat(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    const auto id = body ? api::heartbeat_from_json(*body) : Result<std::string>(error_of(body));
    const auto own = id ? from_itself(exchange, *id) : Result<void>(error_of(id));
    const auto done = own ? with_.registry.heartbeat(*id) : own;
    if (!done) {
        co_await api::respond_error(exchange, done.error());
        co_return;
    }
    co_await api::respond_json(exchange, 200, {{"message", "Heartbeat received"}});
}

asio::awaitable<void> HiveRoutes::logs(http::Exchange& exchange) {
    const std::string id = exchange.path_parameters.at(0);
    const auto body =
        co_await exchange.read_body(0); // from here on a client that leaves is noticed
    const auto valid = body ? domain::check_worker_id(id) : Result<void>(error_of(body));
    if (!valid) {
        co_await api::respond_error(exchange, valid.error());
        co_return;
    }
    const auto wanted = exchange.head().query_parameter("tail");
    const auto lines = wanted ? parse_u64(*wanted) : std::optional(log_lines_default);
    if (!lines || *lines > log_lines_max) {
        co_await api::respond_error(
            exchange,
            domain::field_error(
                "tail", "range(0..=10000)", "tail must be a number of lines, 0-10000"
            )
        );
        co_return;
    }
    const auto following = read_flag(exchange.head().query_parameter("follow"));
    if (!following) {
        co_await api::respond_error(
            exchange, domain::field_error("follow", "one_of(0,1)", "follow must be 0 or 1")
        );
        co_return;
    }
    // The log outlives the registry's memory of its worker.
    const std::string path = log_path_of(with_.settings.worker.log_dir, id);
    const Result<LogPiece> tail =
        co_await with_.pool.run([path, count = *lines] { return read_tail(path, count); });
    if (!tail) {
        co_await api::respond_error(exchange, tail.error());
        co_return;
    }
    http::Headers headers;
    headers.add("Content-Type", "text/plain; charset=utf-8");
    const auto length = *following ? std::nullopt : std::optional<std::uint64_t>(tail->text.size());
    const auto begun = co_await exchange.begin_stream(200, std::move(headers), length);
    const auto written = begun ? co_await exchange.write(tail->text) : begun;
    if (!written) {
        co_return;
    }
    if (*following) {
        co_await follow(exchange, tail->next);
        co_return;
    }
    const auto ended = co_await exchange.end_stream();
    (void)ended; // the client may have gone
}

asio::awaitable<void> HiveRoutes::follow(http::Exchange& exchange, std::uint64_t from) {
    const std::string id = exchange.path_parameters.at(0);
    const std::string path = log_path_of(with_.settings.worker.log_dir, id);
    std::uint64_t next = from;
    while (!exchange.cancel().cancelled() && !stopping_) {
        const WorkerRegistry::Entry* entry = with_.registry.find(id);
        const bool over = entry == nullptr || !entry->info.pid;
        const Result<LogPiece> piece =
            co_await with_.pool.run([path, next] { return read_from(path, next); });
        if (!piece) {
            break; // removed
        }
        next = piece->next;
        const auto written = co_await exchange.write(piece->text);
        if (!written) {
            co_return;
        }
        if (over && piece->text.empty()) {
            break; // nobody writes any more, and all was read
        }
        if (piece->text.empty()) {
            co_await with_.timers.sleep_for(follow_beat);
        }
    }
    if (!exchange.cancel().cancelled()) {
        const auto ended = co_await exchange.end_stream();
        (void)ended; // the client may have gone
    }
}

asio::awaitable<void> HiveRoutes::postmortem(http::Exchange& exchange) {
    const std::string& id = exchange.path_parameters.at(0);
    if (const auto valid = domain::check_worker_id(id); !valid) {
        co_await api::respond_error(exchange, valid.error());
        co_return;
    }
    // Post-mortems outlive the registry's memory of their workers.
    auto death = co_await with_.postmortems.find(id);
    if (!death && death.error().code == Errc::not_found && with_.registry.find(id) == nullptr) {
        death = fail(Errc::not_found, "there is no such worker on this hive", "WORKER_NOT_FOUND");
    }
    if (!death) {
        co_await api::respond_error(exchange, death.error());
        co_return;
    }
    co_await api::respond_json(exchange, 200, std::move(*death));
}

asio::awaitable<void> HiveRoutes::progress(http::Exchange& exchange) {
    const auto body =
        co_await exchange.read_body(0); // from here on a client that leaves is noticed
    const auto entry =
        body ? named(exchange) : Result<const WorkerRegistry::Entry*>(error_of(body));
    if (!entry) {
        co_await api::respond_error(exchange, entry.error());
        co_return;
    }
    http::ClientRequest request;
    request.target = "/v1/loading/progress";
    request.headers.add("X-Correlation-Id", exchange.correlation_id());
    http::CallOptions options;
    options.body_limit = std::chrono::seconds(60);
    options.cancel = &exchange.cancel();
    const std::string id = (*entry)->info.id;
    api::ApiClient client = with_.supervisor.client_for(id);
    auto upstream = co_await client.open(std::move(request), options);
    if (!upstream) {
        const Error error{upstream.error().code, "the worker does not answer", "WORKER_NOT_READY"};
        co_await api::respond_error(exchange, error);
        co_return;
    }
    if ((*upstream)->head().status == 401) {
        with_.supervisor.note_refusal(id);
        co_await api::respond_error(exchange, worker_misconfigured(id));
        co_return;
    }
    const auto frame = [&exchange](const Error& error) {
        return api::error_frame(api::StreamDialect::rbee, error, exchange.correlation_id());
    };
    const auto outcome = co_await http::relay(**upstream, exchange, frame);
    (void)outcome; // the client was told
}

} // namespace rbee::hive
