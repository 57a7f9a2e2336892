#include "rbee/http/exchange.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/text.hpp"
#include "rbee/http/session.hpp"
#include "rbee/telemetry/correlation.hpp"

#include <boost/asio/buffer.hpp>
#include <fmt/format.h>

#include <array>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;

Exchange::Exchange(Session& session, RequestHead head)
    : session_(session), head_(std::move(head)),
      correlation_id_(telemetry::accept_or_make_correlation_id(head_.headers.find("X-Correlation-Id"
      ))),
      keep_alive_(head_.keep_alive) {}

const std::string& Exchange::peer() const {
    return session_.peer_;
}

TimePoint Exchange::received_at() const {
    return session_.received_at_;
}

asio::any_io_executor Exchange::executor() {
    return session_.stream_.executor();
}

asio::awaitable<Result<std::string>> Exchange::read_body(std::uint64_t bytes_max) {
    RBEE_ASSERT(!body_read_);
    const auto too_large = [&] {
        return fail(
            Errc::too_large,
            fmt::format(
                "the request body is larger than the maximum of {}", human_bytes(bytes_max)
            ),
            "PAYLOAD_TOO_LARGE"
        );
    };
    if (head_.content_length && *head_.content_length > bytes_max) {
        co_return too_large();
    }
    if (const auto expect = head_.headers.find("Expect");
        expect && iequals(*expect, "100-continue")) {
        const auto told = co_await session_.stream_.write(
            std::string("HTTP/1.1 100 Continue\r\n\r\n"), session_.limits().write_limit
        );
        if (!told) {
            co_return error_of(told);
        }
    }
    std::string body;
    bool overflow = false;
    session_.parser_.on_body([&](std::string_view bytes) {
        overflow = overflow || body.size() + bytes.size() > bytes_max;
        if (!overflow) {
            body.append(bytes);
        }
    });
    while (!session_.parser_.done()) {
        const auto used = session_.parser_.feed(session_.input_);
        if (!used) {
            co_return error_of(used);
        }
        session_.input_.erase(0, *used);
        if (overflow) {
            co_return too_large();
        }
        if (session_.parser_.done()) {
            break;
        }
        const auto filled = co_await session_.fill(session_.limits().read_limit);
        if (!filled) {
            co_return error_of(filled);
        }
    }
    session_.parser_.on_body({});
    body_read_ = true;
    session_.watch_client(cancel_);
    co_return body;
}

std::string Exchange::make_head(int status, const Headers& headers) const {
    std::string out = fmt::format("HTTP/1.1 {} {}\r\n", status, reason_phrase(status));
    for (const auto& [name, value] : headers) {
        fmt::format_to(std::back_inserter(out), "{}: {}\r\n", name, value);
    }
    fmt::format_to(
        std::back_inserter(out),
        "X-Correlation-Id: {}\r\nX-Request-Id: {}\r\n{}",
        correlation_id_,
        correlation_id_,
        keep_alive_ ? "" : "Connection: close\r\n"
    );
    return out;
}

asio::awaitable<Result<void>> Exchange::respond(Response response) {
    RBEE_ASSERT(!started_);
    started_ = true;
    status_ = response.status;
    // An unread body makes the connection unusable for a next request.
    keep_alive_ =
        keep_alive_ && (body_read_ || session_.parser_.done()) && !session_.last_request();
    std::string head = make_head(response.status, response.headers);
    const bool bodyless = response.status == 204;
    if (!bodyless) {
        fmt::format_to(
            std::back_inserter(head),
            "Content-Type: {}\r\nContent-Length: {}\r\n",
            response.content_type,
            response.body.size()
        );
    }
    head += "\r\n";
    const bool send_body = !bodyless && head_.method != "HEAD";
    const std::array pieces = {
        asio::const_buffer(head.data(), head.size()),
        asio::const_buffer(response.body.data(), send_body ? response.body.size() : 0),
    };
    const auto sent = co_await session_.stream_.write(pieces, session_.limits().write_limit);
    finished_ = sent.has_value();
    bytes_sent_ = response.body.size();
    co_return sent;
}

asio::awaitable<Result<void>>
Exchange::begin_stream(int status, Headers headers, std::optional<std::uint64_t> length) {
    RBEE_ASSERT(!started_);
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
    std::string head = make_head(status, headers) + "\r\n";
    const auto sent =
        co_await session_.stream_.write(std::move(head), session_.limits().write_limit);
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
    const std::array pieces = {
        asio::const_buffer(size_line.data(), chunked_ ? size_bytes : 0),
        asio::const_buffer(bytes.data(), bytes.size()),
        asio::const_buffer(crlf.data(), chunked_ ? crlf.size() : 0),
    };
    const auto sent = co_await session_.stream_.write(pieces, session_.limits().write_limit);
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
    if (chunked_) {
        const auto sent = co_await session_.stream_.write(
            std::string("0\r\n\r\n"), session_.limits().write_limit
        );
        finished_ = sent.has_value();
        co_return sent;
    }
    finished_ = true;
    co_return Result<void>();
}

void Exchange::abort() {
    session_.stream_.close();
}

} // namespace rbee::http
