#include "rbee/http/exchange.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/text.hpp"
#include "rbee/http/session.hpp"
#include "rbee/telemetry/correlation.hpp"

#include <boost/asio/buffer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;

namespace {

constexpr std::size_t body_read_bytes = 32UL * 1024;
constexpr std::size_t body_write_bytes = 256UL * 1024;

/// Limits are whole MiB, which people call MB.
std::string limit_text(std::uint64_t bytes) {
    const bool whole = bytes >= 1U << 20U && bytes % (1U << 20U) == 0;
    return whole ? fmt::format("{} MB", bytes >> 20U) : human_bytes(bytes);
}

} // namespace

Exchange::Exchange(Session& session, RequestHead head)
    : session_(session), head_(std::move(head)),
      correlation_id_(telemetry::accept_or_make_correlation_id(head_.headers.find("X-Correlation-Id"
      ))),
      keep_alive_(head_.keep_alive), body_share_(session.server_.bodies_) {}

const std::string& Exchange::peer() const {
    return session_.peer_;
}

bool Exchange::secure() const {
    return session_.stream_.secure();
}

const std::string& Exchange::peer_identity() const {
    return session_.peer_identity_;
}

TimePoint Exchange::received_at() const {
    return session_.received_at_;
}

asio::any_io_executor Exchange::executor() {
    return session_.stream_.executor();
}

asio::awaitable<Result<std::string>> Exchange::read_body(std::uint64_t bytes_max) {
    RBEE_ASSERT(!body_read_);
    std::string body;
    const auto collected = co_await collect_body(&body, bytes_max);
    session_.parser_.on_body({});
    if (!collected) {
        session_.count(collected.error());
        co_return error_of(collected);
    }
    body_read_ = true;
    session_.watch_client(cancel_);
    co_return body;
}

asio::awaitable<Result<void>> Exchange::collect_body(std::string* body, std::uint64_t bytes_max) {
    const auto too_large = [&] {
        return fail(
            Errc::too_large,
            fmt::format("the request body is larger than the maximum of {}", limit_text(bytes_max)),
            "PAYLOAD_TOO_LARGE"
        );
    };
    if (head_.content_length && *head_.content_length > bytes_max) {
        co_return too_large();
    }
    const auto expect = head_.headers.find("Expect");
    if (expect && iequals(*expect, "100-continue") && !head_.http_1_0 && session_.input_.empty()) {
        const auto told = co_await session_.stream_.write(
            std::string("HTTP/1.1 100 Continue\r\n\r\n"), session_.limits().write_limit
        );
        if (!told) {
            co_return error_of(told);
        }
    }
    bool overflow = false;
    bool over_budget = false;
    session_.parser_.on_body([&](std::string_view bytes) {
        overflow = overflow || body->size() + bytes.size() > bytes_max;
        over_budget = over_budget || !body_share_.take(bytes.size());
        if (!overflow && !over_budget) {
            body->append(bytes);
        }
    });
    const TimePoint begun = std::chrono::steady_clock::now();
    while (true) {
        const auto used = session_.parser_.feed(session_.input_);
        if (!used) {
            co_return error_of(used);
        }
        session_.input_.erase(0, *used);
        if (overflow) {
            co_return too_large();
        }
        if (over_budget) {
            co_return fail(
                Errc::unavailable, "too many large requests at the same time", "BODY_BUDGET_FULL"
            );
        }
        if (session_.parser_.done()) {
            co_return Result<void>();
        }
        const auto filled = co_await session_.fill(body_wait(begun, body->size()), body_read_bytes);
        if (!filled && filled.error().code == Errc::timeout) {
            co_return fail(Errc::timeout, "the request body came too slowly", "BODY_TIMEOUT");
        }
        if (!filled) {
            co_return error_of(filled);
        }
    }
}

std::uint64_t Exchange::inference_body_bytes_max() const {
    return session_.limits().inference_body_bytes_max;
}

/// How long the next bytes of a body may take: after the grace it must have come at the least rate
/// on the whole, and it must never stand still for long.
Duration Exchange::body_wait(TimePoint begun, std::uint64_t received) const {
    const ServerOptions& limits = session_.limits();
    const std::chrono::duration<double> earned(
        static_cast<double>(received) /
        static_cast<double>(std::max<std::uint64_t>(limits.body_rate_min, 1))
    );
    const TimePoint due = begun + limits.body_grace + std::chrono::duration_cast<Duration>(earned);
    return std::min(limits.read_limit, due - std::chrono::steady_clock::now());
}

std::string Exchange::make_head(int status, const Headers& headers) const {
    std::string out;
    out.reserve(512);
    append(out, {"HTTP/1.1 ", std::to_string(status), " ", reason_phrase(status), "\r\n"});
    for (const Headers* fields : {&headers, &cors_}) {
        for (const auto& [name, value] : *fields) {
            append_field(out, name, value);
        }
    }
    append_field(out, "X-Correlation-Id", correlation_id_);
    append_field(out, "X-Request-Id", correlation_id_);
    if (!keep_alive_) {
        append_field(out, "Connection", "close");
    }
    return out;
}

asio::awaitable<Result<void>> Exchange::send(std::span<const asio::const_buffer> pieces) {
    Result<void> sent = co_await session_.stream_.write(pieces, session_.limits().write_limit);
    if (!sent && sent.error().code == Errc::timeout) {
        session_.server_.count(Refusal::stalled_reader);
    }
    co_return sent;
}

asio::awaitable<std::optional<Response>> Exchange::other_answer() {
    const auto wait = std::exchange(before_begin, {});
    auto instead = co_await wait();
    co_return instead;
}

asio::awaitable<Result<void>> Exchange::respond(Response response) {
    RBEE_ASSERT(!started_);
    started_ = true;
    if (before_answer) {
        before_answer(response);
    }
    if (before_begin) {
        auto instead = co_await other_answer();
        if (instead) {
            response = std::move(*instead);
        }
    }
    status_ = response.status;
    // An unread body makes the connection unusable for a next request.
    keep_alive_ =
        keep_alive_ && (body_read_ || session_.parser_.done()) && !session_.last_request();
    std::string head = make_head(response.status, response.headers);
    const bool bodyless = response.status == 204;
    if (!bodyless) {
        append_field(head, "Content-Type", response.content_type);
        append_field(head, "Content-Length", std::to_string(response.body.size()));
    }
    head += "\r\n";
    std::string_view rest = response.body;
    if (bodyless || head_.method == "HEAD") {
        rest = {};
    }
    // The limit is for each piece, so that a long answer to a slow but steady reader arrives.
    std::string_view piece = rest.substr(0, body_write_bytes);
    const std::array first = {
        asio::const_buffer(head.data(), head.size()),
        asio::const_buffer(piece.data(), piece.size()),
    };
    auto sent = co_await send(first);
    for (rest.remove_prefix(piece.size()); sent && !rest.empty();
         rest.remove_prefix(piece.size())) {
        piece = rest.substr(0, body_write_bytes);
        const std::array next = {asio::const_buffer(piece.data(), piece.size())};
        sent = co_await send(next);
    }
    finished_ = sent.has_value();
    bytes_sent_ = response.body.size();
    co_return sent;
}

asio::awaitable<Result<void>>
Exchange::begin_stream(int status, Headers headers, std::optional<std::uint64_t> length) {
    auto opened = co_await open_stream(status, std::move(headers), length);
    if (opened) {
        opened = co_await flush();
    }
    co_return opened;
}

asio::awaitable<Result<void>>
Exchange::open_stream(int status, Headers headers, std::optional<std::uint64_t> length) {
    RBEE_ASSERT(!started_);
    if (before_begin) {
        auto instead = co_await other_answer();
        if (instead) {
            const auto sent = co_await respond(std::move(*instead));
            (void)sent; // this stream does not begin, whether or not they hear why
            co_return fail(Errc::unavailable, "another answer went out in place of the stream");
        }
    }
    started_ = true;
    status_ = status;
    length_left_ = length;
    chunked_ = !length && !head_.http_1_0;
    keep_alive_ = keep_alive_ && (chunked_ || length) && (body_read_ || session_.parser_.done()) &&
                  !session_.last_request();
    if (chunked_) {
        headers.set("Transfer-Encoding", "chunked");
    } else if (length) {
        headers.set("Content-Length", std::to_string(*length));
    }
    held_head_ = make_head(status, headers) + "\r\n";
    co_return Result<void>();
}

asio::awaitable<Result<void>> Exchange::flush() {
    if (held_head_.empty()) {
        co_return Result<void>();
    }
    const std::string head = std::exchange(held_head_, {});
    const std::array pieces = {asio::const_buffer(head.data(), head.size())};
    const auto sent = co_await send(pieces);
    co_return sent;
}

asio::awaitable<Result<void>> Exchange::write(std::string_view bytes) {
    RBEE_ASSERT(started_ && !finished_);
    if (bytes.empty()) {
        co_return Result<void>();
    }
    bytes_sent_ += bytes.size();
    if (length_left_) {
        if (bytes.size() > *length_left_) {
            co_return fail(Errc::internal, "body is longer than announced");
        }
        *length_left_ -= bytes.size();
    }
    std::array<char, 20> size_line; // NOLINT(cppcoreguidelines-pro-type-member-init): written below
    const auto size_end = fmt::format_to(size_line.data(), "{:x}\r\n", bytes.size());
    const auto size_bytes = static_cast<std::size_t>(size_end - size_line.data());
    constexpr std::string_view crlf = "\r\n";
    const std::string head = std::exchange(held_head_, {});
    const std::array pieces = {
        asio::const_buffer(head.data(), head.size()),
        asio::const_buffer(size_line.data(), chunked_ ? size_bytes : 0),
        asio::const_buffer(bytes.data(), bytes.size()),
        asio::const_buffer(crlf.data(), chunked_ ? crlf.size() : 0),
    };
    const auto sent = co_await send(pieces);
    if (!sent) {
        // Nobody is reading: whatever still works for this request can stop.
        cancel_.cancel(
            sent.error().code == Errc::timeout ? CancelReason::stalled : CancelReason::client_gone
        );
    }
    co_return sent;
}

asio::awaitable<Result<void>> Exchange::end_stream() {
    RBEE_ASSERT(started_ && !finished_);
    if (length_left_ && *length_left_ != 0) {
        abort();
        co_return fail(Errc::internal, "body is shorter than announced");
    }
    if (chunked_ || !held_head_.empty()) {
        const auto sent = co_await session_.stream_.write(
            std::exchange(held_head_, {}) + (chunked_ ? "0\r\n\r\n" : ""),
            session_.limits().write_limit
        );
        finished_ = sent.has_value();
        co_return sent;
    }
    finished_ = true;
    co_return Result<void>();
}

void Exchange::abort() {
    session_.stream_.abort();
}

} // namespace rbee::http
