#include "rbee/cli/load_watch.hpp"

#include "rbee/api/json.hpp"
#include "rbee/base/text.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/http/sse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr Duration poll_limit = std::chrono::seconds(5);
constexpr int streams_failed_max = 3;

LoadState state_from(const json::object& worker) {
    LoadState state;
    state.worker_id = first_text(worker, {"id", "worker_id"});
    state.model = first_text(worker, {"model", "model_ref"});
    state.state = text_of(worker, "state");
    state.reason = text_of(worker, "reason");
    state.fraction = real_of(worker, "load_fraction");
    return state;
}

bool gone(const std::string& state) {
    return state == "failed" || state == "crashed" || state == "stopped";
}

} // namespace

std::string LoadState::note() const {
    return layers_total > 0 ? fmt::format("{}/{} layers", layers_loaded, layers_total)
                            : std::string();
}

LoadWatch::LoadWatch(Context& context, Options options, OnProgress on_progress)
    : context_(context), options_(std::move(options)), on_progress_(std::move(on_progress)),
      changed_at_(context.clock().now()) {}

void LoadWatch::take(const LoadState& next) {
    if (next == state_) {
        return;
    }
    state_ = next;
    changed_at_ = context_.clock().now();
    if (state_.state == "loading") {
        on_progress_(state_);
    }
}

bool LoadWatch::stuck() const {
    return state_.state == "loading" && context_.clock().now() - changed_at_ > options_.stuck_limit;
}

Error LoadWatch::stuck_error() const {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.stuck_limit);
    const std::string where =
        state_.layers_total > 0 ? state_.note() : fmt::format("{:.0f} %", state_.fraction * 100);
    return {
        Errc::timeout,
        fmt::format(
            "worker {} made no progress for {} s; its model is loaded to {}",
            state_.worker_id,
            seconds.count(),
            where
        ),
        "LOADING_TIMEOUT",
    };
}

asio::awaitable<Result<LoadState>> LoadWatch::look() {
    if (!options_.worker_id.empty()) {
        auto worker = co_await context_.probe(
            "/v1/workers/" + percent_encode(options_.worker_id), poll_limit
        );
        if (!worker) {
            co_return error_of(worker);
        }
        const json::object* inner = object_of(*worker, "worker");
        co_return state_from(inner != nullptr ? *inner : *worker);
    }
    const auto answer = co_await context_.probe("/v1/workers", poll_limit);
    if (!answer) {
        co_return error_of(answer);
    }
    for (const json::object& worker : list_of(*answer, {"workers", "data"})) {
        const bool match = text_of(worker, "model") == options_.model ||
                           text_of(worker, "model_ref") == options_.model;
        if (match && text_of(worker, "state") == "loading") {
            co_return state_from(worker);
        }
    }
    co_return LoadState();
}

asio::awaitable<void> LoadWatch::read_stream(std::string worker_id) {
    http::ClientRequest request;
    request.target = "/v1/workers/" + percent_encode(worker_id) + "/progress";
    http::CallOptions limits;
    limits.cancel = &context_.interrupt();
    limits.head_limit = std::min(limits.head_limit, options_.stuck_limit);
    limits.body_limit = options_.stuck_limit;
    const auto opened = co_await context_.queen().open(std::move(request), limits);
    if (!opened || (*opened)->head().status != 200) {
        ++streams_failed_;
        co_return;
    }
    http::SseReader reader;
    while (!stuck()) {
        const auto bytes = co_await (*opened)->next();
        if (!bytes || bytes->empty()) {
            break;
        }
        for (const http::SseEvent& event : reader.feed(*bytes)) {
            const auto object = api::parse_object(event.data);
            if (!object || text_of(*object, "stage") == "ready") {
                co_return;
            }
            LoadState next = state_;
            next.layers_loaded = number_of(*object, "layers_loaded").value_or(next.layers_loaded);
            next.layers_total = number_of(*object, "layers_total").value_or(next.layers_total);
            if (next.layers_total > 0) {
                next.fraction = static_cast<double>(next.layers_loaded) /
                                static_cast<double>(next.layers_total);
            }
            take(next);
        }
    }
    ++streams_failed_; // ended without "ready": do not ask for ever
}

asio::awaitable<Result<LoadState>> LoadWatch::follow() {
    while (!context_.interrupted()) {
        const auto seen = co_await look();
        if (!seen && (!options_.worker_id.empty() || seen.error().code == Errc::unauthenticated)) {
            co_return error_of(seen);
        }
        if (seen && !seen->worker_id.empty()) {
            LoadState next = *seen;
            if (next.worker_id == state_.worker_id && next.state == "loading") {
                // The stream knows layers, and is never behind the list.
                next.layers_loaded = state_.layers_loaded;
                next.layers_total = state_.layers_total;
                next.fraction = std::max(next.fraction, state_.fraction);
            }
            take(next);
        }
        if (seen && gone(seen->state)) {
            co_return fail(
                Errc::unavailable,
                fmt::format(
                    "worker {} could not load its model: {}",
                    seen->worker_id,
                    seen->reason.empty() ? seen->state : seen->reason
                ),
                "WORKER_FAILED"
            );
        }
        if (stuck()) {
            co_return std::unexpected(stuck_error());
        }
        if (seen && !seen->worker_id.empty() && seen->state != "loading") {
            co_return state_;
        }
        if (state_.state == "loading" && streams_failed_ < streams_failed_max) {
            co_await read_stream(state_.worker_id);
        }
        co_await context_.sleep(options_.interval);
    }
    co_return fail(Errc::cancelled, "interrupted");
}

} // namespace rbee::cli
