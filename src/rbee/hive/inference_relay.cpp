#include "rbee/hive/inference_relay.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/inference_paths.hpp"
#include "rbee/hive/worker_choice.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

/// The longest that a worker may think before its head, and between two bytes: the longest deadline
/// that a request can have. A dead worker is noticed at once, by its connection.
constexpr Duration beyond_deadline = std::chrono::seconds(1);
/// How long the cause of a broken connection is waited for.
constexpr Duration cause_limit = std::chrono::milliseconds(200);

Error cancelled_error(const Error& error) {
    return {Errc::cancelled, fmt::format("the request was cancelled: {}", error.what), "CANCELLED"};
}

/// The cause as a client may read it: addresses are for the log.
std::string_view without_address(const Error& error) {
    const bool unreached = error.code == Errc::unavailable && error.wire_code.empty();
    return unreached ? "it takes no connections" : std::string_view(error.what);
}

} // namespace

InferenceRelay::InferenceRelay(Dependencies dependencies)
    : with_(dependencies),
      tasks_(dependencies.timers.executor(), telemetry::log_task_failures(dependencies.log)) {
    with_.supervisor.on_dying([this](const std::string& id) { break_off(id); });
}

/// A job's presence among those that are with a worker.
class InferenceRelay::Listed {
public:
    Listed(InferenceRelay& owner, Job& job) : owner_(owner), job_(job) {
        owner_.jobs_.insert(&job);
    }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    ~Listed() { owner_.jobs_.erase(&job_); }

private:
    InferenceRelay& owner_;
    Job& job_;
};

void InferenceRelay::break_off(const std::string& worker_id) {
    for (Job* job : jobs_) {
        if (job->worker_id == worker_id) {
            job->died = true;
            job->upstream.cancel(CancelReason::requested);
        }
    }
}

void InferenceRelay::add_routes(http::Router& router) {
    for (const char* path : api::inference_paths) {
        router.add(
            "POST",
            path,
            [this](http::Exchange& exchange) { return handle(exchange); },
            http::Access::infer
        );
    }
    router.add(
        "DELETE",
        "/v1/inference/{id}",
        [this](http::Exchange& exchange) { return handle_cancel(exchange); },
        http::Access::infer
    );
}

asio::awaitable<void> InferenceRelay::handle(http::Exchange& exchange) {
    const TimePoint begun = with_.timers.clock().now();
    with_.metrics.relay_began();
    Job job;
    std::exception_ptr failure;
    try {
        co_await serve(exchange, job);
    } catch (...) {
        failure = std::current_exception();
    }
    const std::chrono::duration<double> took = with_.timers.clock().now() - begun;
    with_.metrics.relay_ended(job.end, exchange.bytes_sent(), took.count());
    const auto reason = exchange.cancel().reason();
    if (reason && !job.worker_id.empty()) {
        // The closed connection says it already; the cancel also reaches a worker that does not
        // look.
        tasks_.start(send_cancel(job.worker_id, exchange.correlation_id()), "send_cancel");
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

asio::awaitable<void> InferenceRelay::serve(http::Exchange& exchange, Job& job) {
    auto body = co_await exchange.read_body(exchange.inference_body_bytes_max());
    if (!body) {
        co_await api::respond_error(exchange, body.error());
        co_return;
    }
    const auto fields = api::route_fields(*body);
    if (!fields) {
        co_await api::respond_error(exchange, fields.error());
        co_return;
    }
    auto deadline = with_.deadlines.begin(
        exchange,
        {.model = fields->model, .deadline_ms = fields->deadline_ms, .stream = fields->stream}
    );
    if (!deadline) {
        co_await api::respond_error(exchange, deadline.error());
        co_return;
    }
    job.deadline = std::move(*deadline);
    job.stream = fields->stream;
    const WorkerQuery query{
        std::string(exchange.head().headers.find("X-Rbee-Worker").value_or("")), fields->model
    };
    const auto chosen = choose_worker(with_.registry.list(), query);
    if (!chosen) {
        co_await api::respond_error(exchange, chosen.error());
        co_return;
    }
    auto lease = with_.registry.take(*chosen, needs_slot(exchange.head().path));
    const WorkerRegistry::Entry* entry = with_.registry.find(*chosen);
    if (!lease || entry == nullptr) {
        boost::json::object details;
        if (entry != nullptr) {
            details["slots_total"] = entry->info.slots_total;
            details["slots_busy"] = entry->in_flight;
        }
        const Error error =
            lease ? Error{Errc::internal, "the worker vanished", {}} : lease.error();
        auto response = api::error_response(error, exchange.correlation_id(), details);
        const auto sent = co_await exchange.respond(std::move(response));
        (void)sent; // the client may have gone; there is nobody else to tell
        co_return;
    }
    job.worker_id = entry->info.id;
    job.generation = lease->generation();
    if (const std::optional<Duration> keep_alive = fields->keep_alive) {
        with_.registry.keep(job.worker_id, *keep_alive);
    }
    job.deadline->assigned();
    lease->track(exchange.correlation_id(), job.deadline->left());
    const auto listed =
        running_.add({exchange.correlation_id(), fields->job_id}, exchange.cancel());
    co_await forward(exchange, job, std::move(*body));
}

asio::awaitable<void>
InferenceRelay::forward(http::Exchange& exchange, Job& job, std::string body) {
    const http::RequestHead& head = exchange.head();
    http::ClientRequest request;
    request.method = head.method;
    request.target = head.target;
    request.headers = http::forwardable(head.headers);
    request.headers.add("X-Correlation-Id", exchange.correlation_id());
    job.deadline->forward(request.headers);
    request.body = std::move(body);
    request.content_type =
        std::string(head.headers.find("Content-Type").value_or("application/json"));
    http::CallOptions options;
    options.head_limit = job.deadline->left() + beyond_deadline;
    options.body_limit = options.head_limit;
    options.cancel = &job.upstream;
    const Listed listed(*this, job);
    const auto client_stops =
        exchange.cancel().on_cancel([&job](CancelReason reason) { job.upstream.cancel(reason); });
    with_.log.with_correlation(exchange.correlation_id())
        .info(
            "inference_dispatched",
            "Dispatching to worker",
            {{"worker_id", job.worker_id},
             {"path", head.path},
             {"deadline", job.deadline->deadline().forward_absolute}}
        );
    job.deadline->enter(job.stream ? api::Stage::prefill : api::Stage::inference);
    job.deadline->handed_over();
    api::ApiClient client = with_.supervisor.client_for(job.worker_id);
    auto upstream = co_await client.open(std::move(request), options);
    if (!upstream) {
        job.end = exchange.cancel().cancelled() ? RelayEnd::client_gone : RelayEnd::upstream_failed;
        co_await refuse_unsent(exchange, job, upstream.error());
        co_return;
    }
    if ((*upstream)->head().status == 401) {
        // Not the client's token was wrong but ours, and it would be again.
        job.end = RelayEnd::upstream_failed;
        with_.supervisor.note_refusal(job.worker_id);
        co_await api::respond_error(exchange, worker_misconfigured(job.worker_id));
        co_return;
    }
    // Until the first byte is here, the client has seen nothing: this is an error like the above.
    if (const auto begun = co_await (*upstream)->peek(); !begun) {
        job.end = exchange.cancel().cancelled() ? RelayEnd::client_gone : RelayEnd::upstream_failed;
        co_await refuse_unsent(exchange, job, begun.error());
        co_return;
    }
    co_await pass_back(exchange, job, **upstream);
}

asio::awaitable<void>
InferenceRelay::pass_back(http::Exchange& exchange, Job& job, http::ResponseStream& upstream) {
    job.deadline->enter(api::Stage::decode);
    http::ErrorFrame frame = [this, &exchange, &job](Error error) {
        return frame_for(exchange, job, std::move(error));
    };
    http::Headers extra;
    extra.set("X-Rbee-Worker", job.worker_id);
    const http::RelayOutcome outcome =
        co_await http::relay_explained(upstream, exchange, std::move(frame), std::move(extra));
    using Kind = http::RelayOutcome::Kind;
    if (outcome.kind == Kind::complete && upstream.head().status == 200) {
        with_.restarter.served(job.worker_id);
    }
    job.end = outcome.kind == Kind::complete ? RelayEnd::complete
              : outcome.kind == Kind::upstream_failed && !exchange.cancel().cancelled()
                  ? RelayEnd::upstream_failed
                  : RelayEnd::client_gone;
}

asio::awaitable<void>
InferenceRelay::refuse_unsent(http::Exchange& exchange, const Job& job, Error error) {
    const Error told = co_await explain(job, std::move(error));
    co_await api::respond_error(exchange, told);
}

asio::awaitable<Error> InferenceRelay::explain(const Job& job, Error error) {
    const std::string& worker_id = job.worker_id;
    if (error.code == Errc::cancelled && !job.died) {
        if (job.deadline->passed()) {
            with_.deadlines.expired(*job.deadline);
            co_return job.deadline->error();
        }
        co_return cancelled_error(error);
    }
    const auto died =
        co_await with_.supervisor.explain_death(worker_id, job.generation, cause_limit);
    Error told = std::move(error);
    told.wire_code = "WORKER_FAILED";
    told.what = died ? fmt::format("worker {} died: {}", worker_id, *died)
                     : fmt::format("worker {} failed: {}", worker_id, without_address(told));
    if (told.code != Errc::unavailable && told.code != Errc::timeout) {
        told.code = Errc::io;
    }
    with_.log.warn(
        "worker_failed_request",
        "a worker broke off a request",
        {{"worker_id", worker_id}, {"cause", told.what}}
    );
    co_return told;
}

asio::awaitable<std::string>
InferenceRelay::frame_for(const http::Exchange& exchange, const Job& job, Error error) {
    const Error told = co_await explain(job, std::move(error));
    const auto dialect = api::stream_dialect_of(exchange.head().path);
    co_return api::error_frame(dialect, told, exchange.correlation_id());
}

asio::awaitable<void> InferenceRelay::send_cancel(std::string worker_id, std::string request_id) {
    api::ApiClient client = with_.supervisor.client_for(worker_id);
    http::CallOptions options;
    options.head_limit = std::chrono::seconds(5);
    options.body_limit = std::chrono::seconds(5);
    api::ApiClient::Request request{.method = "DELETE", .target = "/v1/inference/" + request_id};
    request.correlation_id = request_id;
    const auto answer = co_await client.call(std::move(request), options);
    if (!answer) {
        with_.log.debug(
            "cancel_unanswered", "a cancel was not answered", {{"cause", answer.error().what}}
        );
    }
}

asio::awaitable<void> InferenceRelay::handle_cancel(http::Exchange& exchange) {
    running_.cancel(exchange.path_parameters.at(0), CancelReason::requested);
    const auto sent = co_await exchange.respond({.status = 204});
    (void)sent; // cancelled all the same
}

} // namespace rbee::hive
