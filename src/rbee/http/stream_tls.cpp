#include "rbee/http/stream.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// A TLS record carries this much (RFC 8446, 5.1): more in one piece saves nothing.
constexpr std::size_t record_bytes_max = 16UL * 1024;

std::string_view view_of(const asio::const_buffer& piece) {
    return {static_cast<const char*>(piece.data()), piece.size()};
}

} // namespace

asio::awaitable<error_code> Stream::wait_for(TlsLink::Step step) {
    error_code error;
    co_await socket_.async_wait(
        step == TlsLink::Step::want_write ? Socket::wait_write : Socket::wait_read,
        asio::redirect_error(asio::use_awaitable, error)
    );
    co_return error;
}

asio::awaitable<Result<void>> Stream::handshake(Duration limit) {
    write_limit_.arm(limit);
    TlsLink::Step step = tls_->handshake();
    while (step == TlsLink::Step::want_read || step == TlsLink::Step::want_write) {
        const error_code error = co_await wait_for(step);
        if (error || !socket_.is_open()) {
            break;
        }
        step = tls_->handshake();
    }
    write_limit_.disarm();
    if (write_limit_.expired()) {
        co_return fail(Errc::timeout, "the TLS handshake was not complete in time");
    }
    if (step != TlsLink::Step::done) {
        co_return std::unexpected(
            step == TlsLink::Step::failed
                ? tls_->failure()
                : Error{Errc::io, "the connection ended within the TLS handshake", {}}
        );
    }
    co_return Result<void>();
}

asio::awaitable<Result<void>>
Stream::accept_tls(std::shared_ptr<TlsContext> context, Duration limit) {
    // The first byte tells TLS (22, a handshake record) from the letters of an HTTP method.
    write_limit_.arm(limit);
    const error_code error = co_await wait_for(TlsLink::Step::want_read);
    write_limit_.disarm();
    if (error || !socket_.is_open()) {
        co_return fail(Errc::timeout, "the TLS handshake did not begin in time");
    }
    char first = 0;
    if (::recv(socket_.native_handle(), &first, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) {
        co_return fail(Errc::io, "the connection ended before the TLS handshake");
    }
    if (first >= 'A' && first <= 'Z') {
        co_return fail(
            Errc::invalid_argument, "this port speaks HTTPS; use https://", "PLAIN_HTTP"
        );
    }
    auto link = TlsLink::accept(std::move(context), socket_.native_handle());
    if (!link) {
        co_return error_of(link);
    }
    tls_ = std::move(*link);
    auto done = co_await handshake(limit);
    co_return done;
}

asio::awaitable<Result<void>>
Stream::connect_tls(std::shared_ptr<TlsContext> context, Endpoint peer, Duration limit) {
    auto link = TlsLink::connect(std::move(context), socket_.native_handle(), peer);
    if (!link) {
        co_return error_of(link);
    }
    tls_ = std::move(*link);
    auto done = co_await handshake(limit);
    if (done) {
        done = tls_->check_server();
    }
    co_return done;
}

asio::awaitable<Result<std::size_t>> Stream::read_tls(std::span<char> into, Duration limit) {
    read_limit_.arm(limit);
    std::size_t size = 0;
    error_code error;
    TlsLink::Step step = TlsLink::Step::want_read;
    while (socket_.is_open()) {
        step = tls_->read(into, size);
        if (step != TlsLink::Step::want_read && step != TlsLink::Step::want_write) {
            break;
        }
        error = co_await wait_for(step);
        if (error) {
            break;
        }
    }
    read_limit_.disarm();
    if (step == TlsLink::Step::done) {
        co_return size;
    }
    if (step == TlsLink::Step::ended) {
        co_return 0;
    }
    if (read_limit_.expired()) {
        co_return fail(Errc::timeout, "no data from the peer in time");
    }
    co_return std::unexpected(
        step == TlsLink::Step::failed ? tls_->failure().within("connection broken")
                                      : Error{Errc::io, "connection broken: closed", {}}
    );
}

asio::awaitable<Result<void>> Stream::send_tls(std::string_view bytes) {
    while (socket_.is_open()) {
        const TlsLink::Step step = tls_->write(bytes);
        if (step == TlsLink::Step::done) {
            co_return Result<void>();
        }
        if (step == TlsLink::Step::failed || step == TlsLink::Step::ended) {
            co_return std::unexpected(tls_->failure().within("connection broken"));
        }
        const error_code error = co_await wait_for(step);
        if (error) {
            co_return fail(Errc::io, "connection broken: " + error.message());
        }
    }
    co_return fail(Errc::io, "connection broken: closed");
}

asio::awaitable<Result<void>> Stream::write_tls(Pieces pieces, Duration limit) {
    write_limit_.arm(limit);
    writing_ = true;
    Result<void> sent;
    std::string record; // small pieces share one, so that each event is one packet
    for (std::size_t i = 0; i < pieces.size() && sent; ++i) {
        const std::string_view piece = view_of(pieces[i]);
        if (record.size() + piece.size() <= record_bytes_max) {
            record.append(piece);
            continue;
        }
        sent = co_await send_tls(record);
        record.clear();
        if (sent) {
            sent = co_await send_tls(piece);
        }
    }
    if (sent) {
        sent = co_await send_tls(record);
    }
    writing_ = !sent;
    write_limit_.disarm();
    if (write_limit_.expired()) {
        co_return fail(Errc::timeout, "the peer took no data in time");
    }
    co_return sent;
}

std::string Stream::peer_identity() const {
    return tls_ ? tls_->peer_identity() : std::string();
}

} // namespace rbee::http
