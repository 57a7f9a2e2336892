#include "rbee/cli/generation.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/base/cancel.hpp"
#include "rbee/base/ids.hpp"
#include "rbee/cli/load_watch.hpp"
#include "rbee/cli/table.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/runtime/task_group.hpp"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;
using Ending = GenerationResult::Ending;

namespace {

/// Waits are bounded by tokens and progress, not by bytes, so the transport's own limits are wide.
constexpr Duration wide = std::chrono::hours(24);
constexpr Duration cancel_limit = std::chrono::seconds(5);
constexpr std::size_t error_body_max = 1024UL * 1024;

/// One try of a request.
class Attempt {
public:
    Attempt(Context& context, const GenerationRequest& request, const Generation::OnText& on_text)
        : context_(context), request_(request), on_text_(on_text),
          stall_(context.reaper(), [this] { stop_.cancel(CancelReason::stalled); }),
          watch_(
              context,
              {.worker_id = {}, .model = request.model, .stuck_limit = request.loading_limit},
              [this](const LoadState& state) { show(state); }
          ),
          tasks_(context.executor(), nullptr) {
        result_.request_id = make_uuid();
    }

    asio::awaitable<void> run();
    [[nodiscard]] GenerationResult& result() { return result_; }
    /// Nothing reached the server, or it refused for lack of a free slot.
    [[nodiscard]] bool unsent() const { return unsent_; }
    [[nodiscard]] bool busy() const { return result_.error.code == Errc::busy; }

private:
    [[nodiscard]] http::ClientRequest message() const;
    asio::awaitable<void> exchange();
    asio::awaitable<void> read_refusal(std::unique_ptr<http::ResponseStream> stream);
    asio::awaitable<void> watch_loading();
    asio::awaitable<void> cancel_at_server();
    void take(StreamEvent& event);
    void broke(Error error);
    void show(const LoadState& state);

    Context& context_;
    const GenerationRequest& request_;
    const Generation::OnText& on_text_;
    GenerationResult result_;
    StreamDecoder decoder_;
    CancelSource stop_;
    std::optional<Error> loading_error_;
    bool unsent_ = false;
    http::Reaper::Entry stall_;
    LoadWatch watch_;
    runtime::TaskGroup tasks_;
};

http::ClientRequest Attempt::message() const {
    http::ClientRequest message;
    message.method = "POST";
    message.target = request_.target;
    message.body = json::serialize(request_.body);
    message.headers.add("Accept", "text/event-stream");
    message.headers.add("X-Correlation-Id", result_.request_id);
    if (request_.timeout_s) {
        const auto left = std::chrono::milliseconds(std::llround(*request_.timeout_s * 1000));
        message.headers.add("X-Request-Deadline", to_rfc3339(context_.clock().wall() + left));
        message.headers.add("X-Request-Timeout-Ms", fmt::format("{}", left.count()));
    }
    return message;
}

asio::awaitable<void> Attempt::run() {
    const TimePoint begin = context_.clock().now();
    const auto interrupted =
        context_.interrupt().on_cancel([this](CancelReason reason) { stop_.cancel(reason); });
    tasks_.start(watch_loading(), "watch loading");
    stall_.arm(request_.stall_limit);
    co_await exchange();
    stall_.disarm();
    context_.console().clear_progress();
    co_await tasks_.stop();
    if (stop_.cancelled()) {
        co_await cancel_at_server();
    }
    result_.summary = decoder_.summary();
    result_.duration = context_.clock().now() - begin;
}

asio::awaitable<void> Attempt::exchange() {
    http::CallOptions limits;
    limits.connect_limit = Context::connect_limit;
    limits.head_limit = wide;
    limits.body_limit = wide;
    limits.cancel = &stop_;
    auto opened = co_await context_.queen().open(message(), limits);
    if (!opened) {
        unsent_ = opened.error().code == Errc::unavailable;
        broke(opened.error());
        co_return;
    }
    if ((*opened)->head().status >= 400) {
        co_await read_refusal(std::move(*opened));
        co_return;
    }
    while (true) {
        const auto bytes = co_await (*opened)->next();
        if (!bytes) {
            broke(bytes.error());
            co_return;
        }
        if (bytes->empty()) {
            break;
        }
        for (StreamEvent& event : decoder_.feed(*bytes)) {
            take(event);
        }
    }
    if (!decoder_.complete() && result_.error.what.empty()) {
        broke({Errc::io, "the stream ended before the answer did", {}});
    } else if (decoder_.complete()) {
        result_.ending = Ending::complete;
    }
}

asio::awaitable<void> Attempt::read_refusal(std::unique_ptr<http::ResponseStream> stream) {
    std::string body;
    while (body.size() < error_body_max) {
        const auto bytes = co_await stream->next();
        if (!bytes || bytes->empty()) {
            break;
        }
        body.append(*bytes);
    }
    broke(api::error_from_response(stream->head().status, body));
}

void Attempt::take(StreamEvent& event) {
    switch (event.kind) {
    case StreamEvent::Kind::text:
        tasks_.cancel();
        result_.text += event.text;
        stall_.arm(request_.stall_limit);
        on_text_(event.text);
        break;
    case StreamEvent::Kind::thought:
    case StreamEvent::Kind::started:
        tasks_.cancel();
        stall_.arm(request_.stall_limit);
        break;
    case StreamEvent::Kind::failed:
        broke(std::move(event.error));
        break;
    case StreamEvent::Kind::note:
    case StreamEvent::Kind::finished:
        break;
    }
}

void Attempt::broke(Error error) {
    if (context_.interrupted()) {
        result_.ending = Ending::interrupted;
        result_.error = {Errc::cancelled, "interrupted", {}};
    } else if (loading_error_) {
        result_.error = *loading_error_;
    } else if (stop_.reason() == CancelReason::stalled) {
        const auto limit = std::chrono::duration_cast<std::chrono::seconds>(request_.stall_limit);
        result_.error = {
            Errc::timeout,
            fmt::format("no token for {} s, so it was cancelled", limit.count()),
            "STALLED"
        };
    } else {
        result_.error = std::move(error);
    }
}

asio::awaitable<void> Attempt::watch_loading() {
    // A model that is ready answers faster than this; then there is nothing to watch.
    co_await context_.sleep(std::chrono::milliseconds(400));
    while (!context_.interrupted()) {
        const auto ready = co_await watch_.follow();
        context_.console().clear_progress();
        if (!ready) {
            const Error& error = ready.error();
            if (error.wire_code == "LOADING_TIMEOUT") {
                loading_error_ = error;
                stop_.cancel(CancelReason::deadline);
            }
            co_return; // the request's own answer says what is wrong
        }
        co_await context_.sleep(std::chrono::milliseconds(250));
    }
}

void Attempt::show(const LoadState& state) {
    stall_.arm(std::max(request_.stall_limit, request_.loading_limit));
    context_.console().progress(progress_line(
        "loading " + state.model, state.fraction, state.note(), context_.console().options().columns
    ));
}

asio::awaitable<void> Attempt::cancel_at_server() {
    api::ApiClient::Request request;
    request.method = "DELETE";
    request.target = "/v1/inference/" + result_.request_id;
    http::CallOptions limits;
    limits.connect_limit = cancel_limit;
    limits.head_limit = cancel_limit;
    limits.body_limit = cancel_limit;
    const auto done = co_await context_.queen().call(std::move(request), limits);
    if (!done) {
        context_.console().status("infer", "the cancel was not confirmed: " + done.error().what);
    }
}

} // namespace

Generation::Generation(Context& context, GenerationRequest request, OnText on_text)
    : context_(context), request_(std::move(request)), on_text_(std::move(on_text)) {}

asio::awaitable<GenerationResult> Generation::run() {
    const bool retry = context_.settings().retry;
    const std::size_t busy_max = retry ? request_.busy_waits.size() : 0;
    int connects = 0;
    std::size_t waits = 0;
    while (true) {
        Attempt attempt(context_, request_, on_text_);
        co_await attempt.run();
        const bool untouched = attempt.result().text.empty() && !context_.interrupted();
        if (untouched && attempt.unsent()) {
            const bool again = co_await context_.pause_after(++connects, attempt.result().error);
            if (again) {
                continue;
            }
        }
        if (!untouched || !attempt.busy() || attempt.result().ending == Ending::complete ||
            waits >= busy_max) {
            co_return std::move(attempt.result());
        }
        const Duration wait = request_.busy_waits.at(waits++);
        context_.console().status(
            "infer",
            fmt::format(
                "busy ({}); trying again in {:.3g} s ({} of {})",
                attempt.result().error.what,
                std::chrono::duration<double>(wait).count(),
                waits,
                busy_max
            )
        );
        co_await context_.sleep(wait);
        if (context_.interrupted()) {
            GenerationResult result = std::move(attempt.result());
            result.ending = Ending::interrupted;
            co_return result;
        }
    }
}

} // namespace rbee::cli
