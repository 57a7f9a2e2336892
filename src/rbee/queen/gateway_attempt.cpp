#include "rbee/queen/gateway_attempt.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/http/relay.hpp"

#include <chrono>
#include <utility>

/// One attempt: a request sent to a hive, and what becomes of it.
namespace rbee::queen {

namespace asio = boost::asio;

namespace {

using Verdict = Fleet::Verdict;

/// A worker that says it is full is free again within this, most of the time: the queen's count is
/// exact but for requests that just ended and clients that go past the queen.
constexpr Duration busy_hold = std::chrono::milliseconds(100);
constexpr Duration not_ready_hold = std::chrono::milliseconds(250);
/// The deadline ends a request; this only is for a hive that does not notice.
constexpr Duration beyond_deadline = std::chrono::seconds(1);
constexpr std::size_t error_bytes_max = 256UL * 1024;

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

/// What an answer of 400 or more tells of the worker that it comes from.
Verdict verdict_of(int status, const Error& error) {
    if (error.wire_code == "WORKER_FAILED" || error.wire_code == "INTERNAL") {
        return Verdict::worker_fault;
    }
    // Full, limited or too late: that says nothing. Anything else was somebody's answer.
    const bool silent = status == 429 || status == 503 || status == 504 || status == 499;
    return silent ? Verdict::nothing : Verdict::good;
}

/// The whole of an error answer.
asio::awaitable<Result<std::string>> read_all(http::ResponseStream* upstream) {
    std::string body;
    while (true) {
        const auto bytes = co_await upstream->next();
        if (!bytes) {
            co_return error_of(bytes);
        }
        if (bytes->empty()) {
            co_return body;
        }
        if (body.size() + bytes->size() > error_bytes_max) {
            co_return fail(
                Errc::io, "the error answer of the worker is too long", "UPSTREAM_FAILED"
            );
        }
        body.append(*bytes);
    }
}

} // namespace

Error stopped_by(const api::RequestDeadline& deadline, const Error& error) {
    return error.code == Errc::cancelled && deadline.passed() ? deadline.error() : error;
}

asio::awaitable<Gateway::Attempt> Gateway::attempt(Request& request, Lease& lease) {
    http::Exchange& exchange = request.exchange;
    const Worker& worker = lease.worker();
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
        co_return not_answered(request, lease, upstream.error());
    }
    if ((*upstream)->head().status >= 400) {
        auto ended = co_await refused(request, lease, **upstream);
        co_return ended;
    }
    // Workers hold the head of an answer back until there is something to say. Until the first byte
    // of it is here, the client has seen nothing.
    if (const auto begun = co_await (*upstream)->peek(); !begun) {
        co_return not_answered(request, lease, begun.error());
    }
    lease.told(Verdict::good);
    request.deadline.enter(api::Stage::decode);
    auto ended = co_await relay(request, lease, **upstream);
    co_return ended;
}

/// Nothing came that the client could be shown.
Gateway::Attempt Gateway::not_answered(Request& request, Lease& lease, const Error& error) {
    if (error.code == Errc::cancelled) {
        return {Attempt::Next::done, "cancelled", stopped_by(request.deadline, error)};
    }
    Worker& worker = lease.worker();
    log_.with_correlation(request.exchange.correlation_id())
        .warn("hive_failed", error.what, {{"hive", worker.hive}, {"worker_id", worker.info.id}});
    const bool misconfigured = error.wire_code == "HIVE_MISCONFIGURED"; // and will be again
    lease.told(misconfigured ? Verdict::nothing : Verdict::hive_fault);
    if (error.code == Errc::unavailable) {
        // Nothing was sent. Its next report makes it available again.
        fleet_.unreachable(worker.hive, error.what);
        dispatcher_.hold(worker, not_ready_hold);
        return {Attempt::Next::repeat, "failed", for_client(error)};
    }
    const bool again = error.code == Errc::io && error.wire_code.empty();
    if (again) {
        dispatcher_.hold(worker, not_ready_hold);
    }
    return {again ? Attempt::Next::retry : Attempt::Next::done, "failed", for_client(error)};
}

/// An answer of 400 or more: either the worker cannot take the request now, or it is the answer.
asio::awaitable<Gateway::Attempt>
Gateway::refused(Request& request, Lease& lease, http::ResponseStream& upstream) {
    http::Exchange& exchange = request.exchange;
    Worker& worker = lease.worker();
    auto body = co_await read_all(&upstream);
    if (!body) {
        co_return not_answered(request, lease, body.error());
    }
    const http::ResponseHead& head = upstream.head();
    Error error = api::error_from_response(head.status, *body);
    lease.told(verdict_of(head.status, error));
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
    if (error.wire_code == "WORKER_FAILED" && (head.status == 502 || head.status == 503)) {
        // It died, or takes no connections: another may do it, or the same one when it is back.
        dispatcher_.hold(worker, not_ready_hold);
        const auto next = head.status == 502 ? Attempt::Next::retry : Attempt::Next::repeat;
        co_return Attempt{next, "failed", std::move(error)};
    }
    http::Response response;
    response.status = head.status;
    response.content_type =
        std::string(head.headers.find("Content-Type").value_or("application/json"));
    response.body = std::move(*body);
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
Gateway::relay(Request& request, Lease& lease, http::ResponseStream& upstream) {
    http::Exchange& exchange = request.exchange;
    const Worker& worker = lease.worker();
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
        if (!cancelled && !late) {
            lease.told(Verdict::hive_fault);
        }
        const char* how = cancelled ? "cancelled" : late ? "deadline" : "broken";
        co_return Attempt{Attempt::Next::done, how, error};
    }
    case http::RelayOutcome::Kind::client_gone:
        break;
    }
    co_return Attempt{Attempt::Next::done, "cancelled", error};
}

} // namespace rbee::queen
