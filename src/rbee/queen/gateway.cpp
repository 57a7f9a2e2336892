#include "rbee/queen/gateway.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/inference_paths.hpp"
#include "rbee/api/route_fields.hpp"
#include "rbee/queen/gateway_attempt.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Further tries after the first while no worker has seen the request.
constexpr int repeats_max = 2;
/// A worker may have begun to work on a request so often.
constexpr int attempts_max = 2;

} // namespace

Gateway::Gateway(Parts parts)
    : fleet_(parts.fleet), dispatcher_(parts.dispatcher), hives_(parts.hives),
      running_(parts.running), deadlines_(parts.deadlines), clock_(parts.clock), log_(parts.log),
      metrics_(parts.metrics), audit_(parts.audit) {}

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
    audit_.started(exchange, job.wanted.model);
    Request request{exchange, std::move(job), **deadline};
    request.deadline.enter(api::Stage::queued);
    const Attempt last = co_await try_workers(request);
    count_expired(request, last.error);
    audit_.ended(
        exchange,
        {.worker_id = request.worker_id,
         .model = request.job.wanted.model,
         .outcome = last.outcome,
         .took = clock_.now() - exchange.received_at()}
    );
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
        Demand{request.job.wanted, exchange.correlation_id(), &exchange.cancel()}
    );
    budget_.request(clock_.now());
    while (true) {
        if (request.deadline.running()) {
            demand->give_up = clock_.now() + request.deadline.left();
        }
        auto lease = co_await dispatcher_.acquire(demand);
        if (!lease) {
            const Error error = stopped_by(request.deadline, lease.error());
            co_return Attempt{Attempt::Next::done, "failed", error};
        }
        request.deadline.assigned();
        const Worker& worker = lease->worker();
        metrics_.queue_wait(clock_.now() - exchange.received_at());
        log.info(
            "worker_assigned",
            "a worker was chosen",
            {{"worker_id", worker.info.id}, {"hive", worker.hive}}
        );
        request.worker_id = worker.info.id;
        audit_.assigned(exchange, worker);
        metrics_.attempt();
        metrics_.in_flight(1);
        Attempt last = co_await attempt(request, *lease);
        metrics_.in_flight(-1);
        if (!goes_on(request, last)) {
            co_return last;
        }
        metrics_.requeue();
        request.deadline.enter(api::Stage::queued);
        log.info("inference_requeue", "not served; trying again", {{"cause", last.error.what}});
    }
}

bool Gateway::goes_on(Request& request, const Attempt& last) {
    switch (last.next) {
    case Attempt::Next::done:
        return false;
    case Attempt::Next::wait_again:
        return true;
    case Attempt::Next::repeat:
        return ++request.repeats <= repeats_max;
    case Attempt::Next::retry:
        break;
    }
    const bool attempts_left = ++request.attempts < attempts_max;
    if (!attempts_left || !budget_.take(clock_.now())) {
        metrics_.retry_refused(attempts_left ? "budget" : "attempts");
        return false;
    }
    metrics_.retry();
    return true;
}

void Gateway::count_expired(const Request& request, const Error& error) {
    if (error.wire_code == "REQUEST_TIMEOUT") {
        deadlines_.expired(request.deadline);
    }
}

} // namespace rbee::queen
