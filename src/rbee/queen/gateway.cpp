#include "rbee/queen/gateway.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/inference_paths.hpp"
#include "rbee/api/route_fields.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Further attempts after the first, for failures that are not just "busy".
constexpr int repeats_max = 2;
/// A worker that says it is full is free again within this, most of the time: the queen's count is
/// exact but for requests that just ended and clients that go past the queen.
constexpr Duration busy_hold = std::chrono::milliseconds(100);
constexpr Duration not_ready_hold = std::chrono::milliseconds(250);
/// The deadline ends a request; this only is for a hive that does not notice.
constexpr Duration beyond_deadline = std::chrono::seconds(1);
constexpr std::size_t error_bytes_max = 256UL * 1024;

/// What has stopped a request in the queen: its deadline, or what `error` says.
Error stopped_by(const api::RequestDeadline& deadline, const Error& error) {
    return error.code == Errc::cancelled && deadline.passed() ? deadline.error() : error;
}

/// The error as a started stream of this dialect shows it.
Error for_stream(Error error, api::StreamDialect dialect) {
    if (error.code == Errc::cancelled) {
        error.what = "the request was cancelled";
        error.wire_code = dialect == api::StreamDialect::rbee ? "CANCELLED" : "REQUEST_CANCELED";
    } else if (error.code == Errc::timeout && dialect == api::StreamDialect::rbee) {
        error.wire_code = "TIMEOUT";
    }
    return for_client(error);
}

} // namespace

/// How one attempt ended.
struct Gateway::Attempt {
    enum class Next { done, wait_again, repeat };
    Next next = Next::done;
    std::string outcome = "ok"; ///< For metrics and the log.
    Error error;                ///< What to answer if this was the last attempt.
};

/// One request on its way.
struct Gateway::Request {
    http::Exchange& exchange;
    InferenceJob job;
    api::RequestDeadline& deadline;
};

Gateway::Gateway(Parts parts)
    : fleet_(parts.fleet), dispatcher_(parts.dispatcher), hives_(parts.hives),
      running_(parts.running), deadlines_(parts.deadlines), clock_(parts.clock), log_(parts.log),
      metrics_(parts.metrics) {}

void Gateway::mount(http::Router& router) {
    const auto add = [&](const char* method, const char* path, auto member) {
        router.add(
            method,
            path,
            [this, member](http::Exchange& exchange) { return (this->*member)(exchange); },
            http::Access::infer
        );
    };
    for (const char* path : api::inference_paths) {
        add("POST", path, &Gateway::handle_inference);
    }
    for (const char* path : {"/v2/tasks", "/v1/tasks"}) {
        add("POST", path, &Gateway::handle_task);
    }
    for (const char* path : {"/v1/inference/{id}", "/v2/inference/{id}"}) {
        add("DELETE", path, &Gateway::handle_cancel);
    }
}

asio::awaitable<void> Gateway::handle_cancel(http::Exchange& exchange) {
    const std::string id = exchange.path_parameters.at(0);
    const std::size_t count = running_.cancel(id, CancelReason::requested);
    log_.with_correlation(exchange.correlation_id())
        .info("inference_cancel", "cancel was asked for", {{"requests", count}});
    http::Response done;
    done.status = 204;
    const auto sent = co_await exchange.respond(std::move(done));
    (void)sent; // the cancel has happened, whether or not they hear of it
}

// What is asked
// ------------------------------------------------------------------------------------

asio::awaitable<void> Gateway::handle_inference(http::Exchange& exchange) {
    auto body = co_await exchange.read_body(exchange.inference_body_bytes_max());
    if (!body) {
        co_return co_await answer_error(exchange, body.error());
    }
    const auto fields = api::route_fields(*body);
    if (!fields) {
        co_return co_await answer_error(exchange, fields.error());
    }
    auto model = resolve_model(fleet_, fields->model);
    if (!model) {
        co_return co_await answer_error(exchange, model.error());
    }
    InferenceJob job{
        .target = exchange.head().target,
        .body = std::move(*body),
        .wanted = {std::move(*model), {}},
        .job_id = fields->job_id,
        .deadline_ms = fields->deadline_ms,
        .stream = fields->stream,
    };
    co_await serve(exchange, std::move(job));
}

asio::awaitable<void> Gateway::handle_task(http::Exchange& exchange) {
    auto body = co_await api::read_object(exchange, exchange.inference_body_bytes_max());
    if (!body) {
        co_return co_await answer_error(exchange, body.error());
    }
    auto job = make_task(fleet_, std::move(*body));
    if (!job) {
        co_return co_await answer_error(exchange, job.error());
    }
    co_await serve(exchange, std::move(*job));
}

asio::awaitable<void> Gateway::answer_error(http::Exchange& exchange, Error error) {
    const std::string code = api::wire_code_of(error);
    const int status = api::status_of(error);
    metrics_.request_done(
        exchange.head().path,
        error.code == Errc::cancelled ? "cancelled"
        : code == "REQUEST_TIMEOUT"   ? "deadline"
        : code == "QUEUE_FULL"        ? "queue_full"
        : code == "NO_IDLE_WORKERS"   ? "no_worker"
        : status < 500                ? "client_error"
                                      : "failed"
    );
    const auto log = log_.with_correlation(exchange.correlation_id());
    log.write(
        status < 500 ? telemetry::Level::info : telemetry::Level::error,
        "inference_refused",
        error.what,
        {{"code", code}, {"status", status}}
    );
    json::object details;
    if (code == "QUEUE_FULL") {
        details["queue_capacity"] = dispatcher_.capacity();
    } else if (code == "MODEL_NOT_FOUND") {
        json::array known;
        for (const auto& [name, model] : fleet_.models()) {
            known.emplace_back(name);
        }
        details["known_models"] = std::move(known);
    }
    auto response = api::error_response(error, exchange.correlation_id(), details);
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // the client may have gone; there is nobody else to tell
}

// The way of a request
// -----------------------------------------------------------------------------

asio::awaitable<void> Gateway::serve(http::Exchange& exchange, InferenceJob job) {
    const auto listed = running_.add({exchange.correlation_id(), job.job_id}, exchange.cancel());
    const auto log = log_.with_correlation(exchange.correlation_id());
    const auto deadline = deadlines_.begin(
        exchange, {.model = job.wanted.model, .deadline_ms = job.deadline_ms, .stream = job.stream}
    );
    if (!deadline) {
        co_return co_await answer_error(exchange, deadline.error());
    }
    log.info(
        "inference_start",
        "Starting inference",
        {{"model", job.wanted.model}, {"deadline", (*deadline)->deadline().forward_absolute}}
    );
    Request request{exchange, std::move(job), **deadline};
    request.deadline.enter(api::Stage::queued);
    const Attempt last = co_await try_workers(request);
    count_expired(request, last.error);
    if (!exchange.started()) {
        co_return co_await answer_error(exchange, last.error);
    }
    metrics_.request_done(exchange.head().path, last.outcome);
    const auto level = last.outcome == "broken" ? telemetry::Level::error : telemetry::Level::info;
    const std::chrono::duration<double, std::milli> took = clock_.now() - exchange.received_at();
    log.write(
        level,
        "inference_complete",
        last.outcome == "ok" ? "Inference complete" : "Inference ended",
        {{"outcome", last.outcome}, {"cause", last.error.what}, {"ms", took.count()}}
    );
}

asio::awaitable<Gateway::Attempt> Gateway::try_workers(Request& request) {
    http::Exchange& exchange = request.exchange;
    const auto log = log_.with_correlation(exchange.correlation_id());
    auto demand = std::make_shared<Demand>(
        Demand{request.job.wanted, exchange.correlation_id(), &exchange.cancel(), std::nullopt}
    );
    Attempt last;
    for (int repeats = 0; repeats <= repeats_max;) {
        auto lease = co_await dispatcher_.acquire(demand);
        if (!lease) {
            const Error error = stopped_by(request.deadline, lease.error());
            co_return Attempt{Attempt::Next::done, "failed", error};
        }
        request.deadline.assigned();
        Worker& worker = lease->worker();
        metrics_.queue_wait(clock_.now() - exchange.received_at());
        log.info(
            "worker_assigned",
            "a worker was chosen",
            {{"worker_id", worker.info.id}, {"hive", worker.hive}}
        );
        metrics_.attempt();
        metrics_.in_flight(1);
        last = co_await attempt(request, worker);
        metrics_.in_flight(-1);
        if (last.next == Attempt::Next::done) {
            break;
        }
        metrics_.requeue();
        repeats += last.next == Attempt::Next::repeat ? 1 : 0;
        log.info(
            "inference_requeue", "the hive refused; trying again", {{"cause", last.error.what}}
        );
    }
    co_return last;
}

void Gateway::count_expired(const Request& request, const Error& error) {
    if (error.wire_code == "REQUEST_TIMEOUT") {
        deadlines_.expired(request.deadline);
    }
}

asio::awaitable<Gateway::Attempt> Gateway::attempt(Request& request, Worker& worker) {
    http::Exchange& exchange = request.exchange;
    if (request.deadline.passed()) {
        co_return Attempt{Attempt::Next::done, "deadline", request.deadline.error()};
    }
    http::ClientRequest message;
    message.method = "POST";
    message.target = request.job.target;
    message.body = request.job.body;
    message.headers = http::forwardable(exchange.head().headers);
    message.headers.add("X-Correlation-Id", exchange.correlation_id());
    message.headers.add("X-Rbee-Worker", worker.info.id);
    request.deadline.forward(message.headers);
    http::CallOptions limits;
    limits.head_limit = request.deadline.left() + beyond_deadline;
    limits.body_limit = limits.head_limit;
    limits.cancel = &exchange.cancel();
    request.deadline.enter(request.job.stream ? api::Stage::prefill : api::Stage::inference);
    request.deadline.handed_over();
    const auto upstream = co_await hives_.open(worker.endpoint, std::move(message), limits);
    if (!upstream) {
        co_return not_opened(request, worker, upstream.error());
    }
    if ((*upstream)->head().status >= 400) {
        auto ended = co_await refused(exchange, worker, **upstream);
        co_return ended;
    }
    // Workers hold the head of an answer back until there is something to say.
    request.deadline.enter(api::Stage::decode);
    auto ended = co_await relay(request, worker, **upstream);
    co_return ended;
}

Gateway::Attempt Gateway::not_opened(Request& request, Worker& worker, const Error& error) {
    if (error.code == Errc::cancelled) {
        return {Attempt::Next::done, "cancelled", stopped_by(request.deadline, error)};
    }
    log_.with_correlation(request.exchange.correlation_id())
        .warn("hive_failed", error.what, {{"hive", worker.hive}, {"worker_id", worker.info.id}});
    if (error.code == Errc::unavailable) {
        // Nothing was sent. Its next report makes it available again.
        fleet_.unreachable(worker.hive, error.what);
        dispatcher_.hold(worker, not_ready_hold);
    }
    const bool misconfigured = error.wire_code == "HIVE_MISCONFIGURED"; // and will be again
    const bool again =
        error.code == Errc::unavailable || (error.code == Errc::io && !misconfigured);
    return {again ? Attempt::Next::repeat : Attempt::Next::done, "failed", for_client(error)};
}

/// An answer of 400 or more: either the worker cannot take the request now, or it is the answer.
asio::awaitable<Gateway::Attempt>
Gateway::refused(http::Exchange& exchange, Worker& worker, http::ResponseStream& upstream) {
    std::string body;
    while (true) {
        const auto bytes = co_await upstream.next();
        if (!bytes) {
            co_return Attempt{Attempt::Next::done, "failed", for_client(bytes.error())};
        }
        if (bytes->empty()) {
            break;
        }
        if (body.size() + bytes->size() > error_bytes_max) {
            const Error error{Errc::io, "the error answer of the worker is too long", {}};
            co_return Attempt{Attempt::Next::done, "failed", error};
        }
        body.append(*bytes);
    }
    const http::ResponseHead& head = upstream.head();
    Error error = api::error_from_response(head.status, body);
    if (head.status == 503 && error.wire_code == "ALL_SLOTS_BUSY") {
        dispatcher_.hold(worker, busy_hold);
        co_return Attempt{Attempt::Next::wait_again, "failed", std::move(error)};
    }
    const bool unknown = head.status == 404 && error.wire_code == "WORKER_NOT_FOUND";
    if (unknown || (head.status == 503 && error.wire_code == "WORKER_NOT_READY")) {
        dispatcher_.hold(worker, not_ready_hold);
        const Error last{
            Errc::unavailable, "the worker for this model is not ready", "WORKER_NOT_READY"
        };
        co_return Attempt{Attempt::Next::repeat, "failed", last};
    }
    http::Response response;
    response.status = head.status;
    response.content_type =
        std::string(head.headers.find("Content-Type").value_or("application/json"));
    response.body = std::move(body);
    for (const char* kept : {"Retry-After", "X-Deadline-Exceeded", "x-should-retry"}) {
        if (const auto value = head.headers.find(kept)) {
            response.headers.add(kept, std::string(*value));
        }
    }
    response.headers.add("X-Rbee-Worker", worker.info.id);
    response.headers.add("X-Rbee-Hive", worker.hive);
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // the client may have gone; there is nobody else to tell
    const char* outcome = error.wire_code == "REQUEST_TIMEOUT" ? "deadline"
                          : head.status < 500                  ? "client_error"
                                                               : "failed";
    co_return Attempt{Attempt::Next::done, outcome, std::move(error)};
}

asio::awaitable<Gateway::Attempt>
Gateway::relay(Request& request, const Worker& worker, http::ResponseStream& upstream) {
    http::Exchange& exchange = request.exchange;
    const auto dialect = api::stream_dialect_of(exchange.head().path);
    const std::string& id = exchange.correlation_id();
    http::Headers who;
    who.add("X-Rbee-Worker", worker.info.id);
    who.add("X-Rbee-Hive", worker.hive);
    const auto frame = [dialect, &id, &request](const Error& error) {
        return api::error_frame(
            dialect, for_stream(stopped_by(request.deadline, error), dialect), id
        );
    };
    const auto outcome = co_await http::relay(upstream, exchange, frame, std::move(who));
    if (outcome.first_byte_at) {
        metrics_.first_byte(*outcome.first_byte_at - exchange.received_at());
    }
    const Error error =
        stopped_by(request.deadline, outcome.error.value_or(Error{Errc::internal, "", {}}));
    switch (outcome.kind) {
    case http::RelayOutcome::Kind::complete:
        co_return Attempt{Attempt::Next::done, "ok", error};
    case http::RelayOutcome::Kind::upstream_failed: {
        const bool cancelled = error.code == Errc::cancelled;
        const bool late = error.wire_code == "REQUEST_TIMEOUT";
        const char* how = cancelled ? "cancelled" : late ? "deadline" : "broken";
        co_return Attempt{Attempt::Next::done, how, error};
    }
    case http::RelayOutcome::Kind::client_gone:
        break;
    }
    co_return Attempt{Attempt::Next::done, "cancelled", error};
}

} // namespace rbee::queen
