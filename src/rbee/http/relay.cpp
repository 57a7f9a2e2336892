#include "rbee/http/relay.hpp"

#include "rbee/base/text.hpp"
#include "rbee/http/sse.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;

namespace {

using Kind = RelayOutcome::Kind;

bool is_passed_on(std::string_view name) {
    constexpr std::array<std::string_view, 15> known = {
        "Accept",
        "Accept-Language",
        "Anthropic-Beta",
        "Anthropic-Version",
        "Baggage",
        "Idempotency-Key",
        "OpenAI-Beta",
        "OpenAI-Organization",
        "OpenAI-Project",
        "Traceparent",
        "Tracestate",
        "User-Agent",
        "X-Deadline-Policy",
        "X-Span-Id",
        "X-Trace-Id",
    };
    return std::ranges::any_of(known, [&](std::string_view one) { return iequals(one, name); });
}

/// True when a Connection field makes `name` a matter of this connection alone.
bool is_named_by_connection(const Headers& headers, std::string_view name) {
    return std::ranges::any_of(headers, [&](const Headers::Field& field) {
        return iequals(field.first, "Connection") &&
               std::ranges::any_of(split(field.second, ','), [&](std::string_view option) {
                   return iequals(trim(option), name);
               });
    });
}

Headers end_to_end(const ResponseHead& head) {
    Headers out;
    for (const auto& [name, value] : head.headers) {
        const bool ours = iequals(name, "X-Correlation-Id") || iequals(name, "X-Request-Id") ||
                          iequals(name, "Content-Length");
        if (!ours && !is_hop_by_hop(name) && !is_named_by_connection(head.headers, name)) {
            out.add(name, value);
        }
    }
    return out;
}

bool is_event_stream(const ResponseHead& head) {
    const auto type = head.headers.find("Content-Type");
    return type && iequals(type->substr(0, type->find(';')), "text/event-stream");
}

/// The relay of one answer, cut into steps that share what has been sent so far.
class Relay {
public:
    Relay(ResponseStream& upstream, Exchange& exchange)
        : upstream_(upstream), exchange_(exchange), events_(is_event_stream(upstream.head())) {}

    asio::awaitable<RelayOutcome> run(const ErrorFrame& error_frame, const Headers& extra) {
        const ResponseHead& head = upstream_.head();
        Headers fields = end_to_end(head);
        for (const auto& [name, value] : extra) {
            fields.set(name, value);
        }
        auto begun =
            co_await exchange_.open_stream(head.status, std::move(fields), length_of(head));
        // Most answers have come whole: then their head and body go out in one piece.
        if (begun && !upstream_.ready()) {
            begun = co_await exchange_.flush();
        }
        if (!begun) {
            co_return gone(begun.error());
        }
        while (true) {
            const auto bytes = co_await upstream_.next();
            if (!bytes) {
                if (bytes.error().code == Errc::cancelled && !deliverable()) {
                    exchange_.abort();
                    co_return gone(bytes.error());
                }
                co_return co_await broken(bytes.error(), error_frame);
            }
            if (bytes->empty()) {
                break;
            }
            const auto sent = co_await forward(*bytes);
            if (!sent) {
                co_return gone(sent.error());
            }
        }
        const auto rest = co_await exchange_.write(pending_);
        const auto ended = rest ? co_await exchange_.end_stream() : rest;
        if (!ended) {
            co_return gone(ended.error());
        }
        co_return std::move(outcome_);
    }

private:
    [[nodiscard]] std::optional<std::uint64_t> length_of(const ResponseHead& head) const {
        return events_ ? std::nullopt : head.content_length;
    }

    /// A cancelled stream whose client is still there is owed an ending.
    [[nodiscard]] bool deliverable() {
        const auto reason = exchange_.cancel().reason();
        return reason != CancelReason::client_gone && reason != CancelReason::stalled;
    }

    asio::awaitable<Result<void>> forward(std::string_view bytes) {
        if (!outcome_.first_byte_at) {
            outcome_.first_byte_at = std::chrono::steady_clock::now();
        }
        if (!events_) {
            co_return co_await exchange_.write(bytes);
        }
        if (pending_.empty() && complete_events(bytes) == bytes.size()) {
            co_return co_await exchange_.write(bytes);
        }
        pending_.append(bytes);
        const std::size_t whole = complete_events(pending_);
        const std::string ready = pending_.substr(0, whole);
        pending_.erase(0, whole);
        co_return co_await exchange_.write(ready);
    }

    asio::awaitable<RelayOutcome> broken(Error error, const ErrorFrame& error_frame) {
        outcome_.kind = Kind::upstream_failed;
        outcome_.error = error;
        if (!events_) {
            const auto begun = co_await exchange_.flush(); // a cut body, not a missing answer
            (void)begun;                                   // it is cut anyway
            exchange_.abort();
            co_return std::move(outcome_);
        }
        const std::string frame = co_await error_frame(error);
        const auto told = co_await exchange_.write(frame);
        if (told) {
            const auto ended = co_await exchange_.end_stream();
            if (!ended) {
                exchange_.abort();
            }
        }
        co_return std::move(outcome_);
    }

    RelayOutcome gone(Error error) {
        outcome_.kind = Kind::client_gone;
        outcome_.error = std::move(error);
        return std::move(outcome_);
    }

    ResponseStream& upstream_;
    Exchange& exchange_;
    bool events_;
    std::string pending_; ///< The unfinished event at the end of what came.
    RelayOutcome outcome_;
};

asio::awaitable<std::string>
frame_now(std::function<std::string(const Error&)> error_frame, Error error) {
    co_return error_frame(error);
}

} // namespace

Headers forwardable(const Headers& from) {
    Headers out;
    for (const auto& [name, value] : from) {
        if (is_passed_on(name) && !is_named_by_connection(from, name)) {
            out.add(name, value);
        }
    }
    return out;
}

asio::awaitable<RelayOutcome> relay_explained(
    ResponseStream& upstream, Exchange& exchange, ErrorFrame error_frame, Headers extra
) {
    Relay work(upstream, exchange);
    RelayOutcome outcome = co_await work.run(error_frame, extra);
    co_return outcome;
}

asio::awaitable<RelayOutcome> relay(
    ResponseStream& upstream,
    Exchange& exchange,
    std::function<std::string(const Error&)> error_frame,
    Headers extra
) {
    ErrorFrame frame = [error_frame = std::move(error_frame)](Error error) {
        return frame_now(error_frame, std::move(error));
    };
    RelayOutcome outcome =
        co_await relay_explained(upstream, exchange, std::move(frame), std::move(extra));
    co_return outcome;
}

} // namespace rbee::http
