#include "rbee/worker/generation.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/base/ids.hpp"

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

namespace rbee::worker {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

bool ended_well(const engine::End& end) {
    return end.stop != engine::StopReason::error && end.stop != engine::StopReason::cancelled;
}

Outcome outcome_of(const engine::End& end) {
    if (end.stop == engine::StopReason::cancelled) {
        return end.cancel_reason == CancelReason::deadline ? Outcome::timeout : Outcome::cancelled;
    }
    if (end.stop != engine::StopReason::error) {
        return Outcome::success;
    }
    const bool clients_fault =
        end.error.code == Errc::invalid_argument || end.error.code == Errc::unsupported;
    return clients_fault ? Outcome::invalid : Outcome::error;
}

double ms_since(TimePoint begin, TimePoint now) {
    return std::chrono::duration<double, std::milli>(now - begin).count();
}

} // namespace

std::optional<Error> failure_of(const engine::End& end, bool started) {
    if (end.stop == engine::StopReason::error) {
        Error error = end.error;
        if (error.wire_code.empty() && error.code == Errc::internal) {
            error.wire_code = "INFERENCE_FAILED";
        }
        return error;
    }
    const std::string code = started ? "CANCELLED" : "";
    switch (end.cancel_reason) {
    case CancelReason::client_gone:
        return std::nullopt;
    case CancelReason::requested:
        return Error{Errc::cancelled, "the request was cancelled", code};
    case CancelReason::deadline:
        return Error{
            Errc::timeout, "the deadline of the request has passed", started ? "TIMEOUT" : ""
        };
    case CancelReason::stalled:
        return Error{Errc::cancelled, "the answer was not read fast enough", code};
    case CancelReason::shutdown:
        break;
    }
    return started ? Error{Errc::cancelled, "the worker is shutting down", code}
                   : Error{Errc::unavailable, "the worker is shutting down", "WORKER_NOT_READY"};
}

Generation::Generation(Core& core, http::Exchange& exchange, Plan plan)
    : core_(core), exchange_(exchange), plan_(std::move(plan)), engine_id_(make_uuid()),
      log_(core.log.with_correlation(exchange.correlation_id())),
      stream_(core.timers, core.settings.pending_bytes_max, [&exchange] {
          exchange.cancel().cancel(CancelReason::stalled);
      }) {}

asio::awaitable<void> Generation::run() {
    const auto ready = core_.status.check_ready();
    if (!ready) {
        core_.metrics.request(plan_.dialect, Outcome::not_ready);
        co_await api::respond_error(exchange_, ready.error());
        co_return;
    }
    auto slot = core_.slots.try_take();
    if (!slot) {
        core_.metrics.request(plan_.dialect, Outcome::busy);
        co_await refuse_busy();
        co_return;
    }
    const auto listed = core_.running.add(plan_.ids, exchange_.cancel());
    plan_.deadline->assigned();
    plan_.deadline->enter(plan_.answer->streaming() ? api::Stage::prefill : api::Stage::inference);
    log_.info(
        "inference_start",
        "inference started",
        {{"dialect", to_string(plan_.dialect)},
         {"job_id", plan_.ids.back()},
         {"stream", plan_.answer->streaming()},
         {"deadline", plan_.deadline->deadline().forward_absolute},
         {"slots_busy", core_.slots.busy()}}
    );
    const engine::End end = co_await pump();
    // The engine has let go: the next request may come while the rest of the answer is written.
    slot.reset();
    if (cancelled_at_ && end.stop == engine::StopReason::cancelled) {
        core_.metrics.slot_free(core_.timers.clock().now() - *cancelled_at_);
    }
    account(end);
    log_end(end);
    if (counts_as_answer(end)) {
        core_.deadlines.expired(*plan_.deadline);
    }
    if (ended_well(end) || counts_as_answer(end)) {
        plan_.answer->finish(end, out_);
        co_await complete();
        co_return;
    }
    auto failure = failure_of(end, exchange_.started());
    if (failure && failure->code == Errc::timeout) {
        core_.deadlines.expired(*plan_.deadline);
        const std::string event_code = failure->wire_code;
        failure = plan_.deadline->error();
        if (plan_.dialect == engine::Dialect::infer && exchange_.started()) {
            failure->wire_code = event_code;
        }
    }
    if (!failure || gone_) {
        exchange_.abort();
        co_return;
    }
    co_await show_error(std::move(*failure));
}

asio::awaitable<engine::End> Generation::pump() {
    core_.engine.start(
        {.id = engine_id_,
         .dialect = plan_.dialect,
         .body = std::move(plan_.body),
         .stream = plan_.engine_streams},
        stream_.sink()
    );
    // After start(): a request that is cancelled already must find itself in the engine.
    const auto on_cancel = exchange_.cancel().on_cancel([this](CancelReason reason) {
        cancelled_at_ = core_.timers.clock().now();
        core_.engine.cancel(engine_id_, reason);
    });
    while (true) {
        GenerationStream::Batch batch = co_await stream_.next();
        for (const GenerationStream::Piece& piece : batch.pieces) {
            take(piece);
        }
        if (batch.end) {
            co_return std::move(*batch.end);
        }
        if (plan_.answer->streaming()) {
            co_await send();
        }
    }
}

void Generation::take(const GenerationStream::Piece& piece) {
    const engine::Chunk& chunk = piece.chunk;
    plan_.answer->add(chunk, piece.made_at, out_);
    if (chunk.text.empty() && chunk.wire.empty() && chunk.token_ids.empty()) {
        return;
    }
    if (cancelled_at_ && piece.made_at > *cancelled_at_) {
        core_.metrics.tokens_after_cancel(std::max<std::size_t>(chunk.token_ids.size(), 1));
    }
    if (plan_.engine_streams && !last_token_at_) {
        plan_.deadline->enter(api::Stage::decode);
        core_.metrics.first_token(piece.made_at - exchange_.received_at());
    } else if (plan_.engine_streams) {
        core_.metrics.next_token(piece.made_at - *last_token_at_);
    }
    last_token_at_ = piece.made_at;
}

/// Of an answer that the engine gives in one piece, only the engine knows when its tokens came.
void Generation::time_whole(const engine::End& end) const {
    if (plan_.engine_streams || !last_token_at_ || end.usage.completion_tokens == 0) {
        return;
    }
    const std::chrono::duration<double, std::milli> decode(end.usage.decode_ms);
    const auto whole = *last_token_at_ - exchange_.received_at();
    core_.metrics.first_token(whole - std::chrono::duration_cast<Duration>(decode));
    core_.metrics.next_tokens(
        std::chrono::duration_cast<Duration>(decode), end.usage.completion_tokens - 1
    );
}

bool Generation::counts_as_answer(const engine::End& end) const {
    return ended_by_deadline(end) && plan_.deadline->partial() && last_token_at_;
}

asio::awaitable<void> Generation::send() {
    if (gone_) {
        out_.clear();
    }
    if (out_.empty()) {
        co_return;
    }
    if (!exchange_.started()) {
        http::Headers headers;
        headers.add("Content-Type", "text/event-stream");
        headers.add("Cache-Control", "no-cache");
        headers.add("X-Accel-Buffering", "no");
        const auto begun = co_await exchange_.begin_stream(200, std::move(headers));
        gone_ = !begun;
    }
    const std::string bytes = std::exchange(out_, {});
    if (!gone_) {
        const auto sent = co_await exchange_.write(bytes);
        gone_ = !sent;
    }
    if (gone_) {
        exchange_.cancel().cancel(CancelReason::client_gone);
    }
}

asio::awaitable<void> Generation::complete() {
    if (!plan_.answer->streaming()) {
        http::Response response;
        response.body = std::move(out_);
        const auto sent = co_await exchange_.respond(std::move(response));
        (void)sent; // a client that left needs no answer
        co_return;
    }
    co_await send();
    if (!gone_ && exchange_.started()) {
        const auto ended = co_await exchange_.end_stream();
        (void)ended; // as above
    }
}

asio::awaitable<void> Generation::refuse_busy() {
    const json::object details{
        {"slots_total", core_.slots.total()}, {"slots_busy", core_.slots.busy()}
    };
    const Error error{
        Errc::busy,
        fmt::format("every slot is busy ({0} of {0})", core_.slots.total()),
        "ALL_SLOTS_BUSY"
    };
    const auto sent =
        co_await exchange_.respond(api::error_response(error, exchange_.correlation_id(), details));
    (void)sent; // a client that left needs no answer
}

asio::awaitable<void> Generation::show_error(Error error) {
    if (!exchange_.started()) {
        co_await api::respond_error(exchange_, std::move(error));
        co_return;
    }
    out_ += api::error_frame(plan_.answer->error_dialect(), error, exchange_.correlation_id());
    co_await send();
    if (!gone_) {
        const auto ended = co_await exchange_.end_stream();
        (void)ended; // a client that left needs no answer
    }
}

void Generation::account(const engine::End& end) {
    core_.metrics.request(plan_.dialect, outcome_of(end));
    core_.metrics.tokens(end.usage);
    time_whole(end);
    if (end.stop == engine::StopReason::cancelled) {
        core_.metrics.cancelled(end.cancel_reason);
    }
}

void Generation::log_end(const engine::End& end) const {
    const double ms = ms_since(exchange_.received_at(), core_.timers.clock().now());
    if (ended_well(end)) {
        log_.info(
            "inference_complete",
            "Inference complete",
            {{"tokens_in", end.usage.prompt_tokens},
             {"tokens_out", end.usage.completion_tokens},
             {"duration_ms", ms},
             {"decode_time_ms", end.usage.decode_ms},
             {"stop_reason", to_string(end.stop)}}
        );
        return;
    }
    if (end.stop == engine::StopReason::cancelled) {
        log_.info(
            "inference_cancelled",
            "inference cancelled",
            {{"reason", rbee::to_string(end.cancel_reason)},
             {"tokens_out", end.usage.completion_tokens},
             {"duration_ms", ms}}
        );
        return;
    }
    // The text of the error stays out: it may quote the request.
    log_.error(
        "inference_failed",
        "inference failed",
        {{"code", api::wire_code_of(end.error)},
         {"tokens_out", end.usage.completion_tokens},
         {"duration_ms", ms}}
    );
}

} // namespace rbee::worker
