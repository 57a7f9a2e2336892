#include "rbee/http/stream.hpp"

#include "rbee/runtime/quiet.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/error_code.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;
using boost::system::error_code;

Stream::Stream(Socket socket, Reaper& reaper)
    : socket_(std::move(socket)), read_limit_(reaper, [this] { cancel_waits(); }),
      write_limit_(reaper, [this] { close(); }) {}

asio::awaitable<Result<std::size_t>> Stream::read_some(std::span<char> into, Duration limit) {
    if (tls_) {
        auto got = co_await read_tls(into, limit);
        co_return got;
    }
    read_limit_.arm(limit);
    while (true) {
        if (drained_) {
            error_code error;
            co_await socket_.async_wait(
                Socket::wait_read, asio::redirect_error(asio::use_awaitable, error)
            );
            if (error) {
                co_return std::unexpected(unreadable(error.message()));
            }
        }
        const auto got = ::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
        const bool again = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
        // What did not fill the buffer was all there was: the next read need not ask for more.
        drained_ = again || (got > 0 && static_cast<std::size_t>(got) < into.size());
        if (again) {
            continue;
        }
        read_limit_.disarm();
        if (got < 0) {
            co_return std::unexpected(unreadable(std::generic_category().message(errno)));
        }
        co_return static_cast<std::size_t>(got);
    }
}

Error Stream::unreadable(const std::string& cause) {
    read_limit_.disarm();
    if (read_limit_.expired()) {
        return {Errc::timeout, "no data from the peer in time", {}};
    }
    return {Errc::io, "connection broken: " + cause, {}};
}

asio::awaitable<Result<void>>
Stream::write(std::span<const asio::const_buffer> pieces, Duration limit) {
    if (tls_) {
        auto written = co_await write_tls(pieces, limit);
        co_return written;
    }
    write_limit_.arm(limit);
    error_code error;
    co_await asio::async_write(socket_, pieces, asio::redirect_error(asio::use_awaitable, error));
    write_limit_.disarm();
    if (error) {
        if (write_limit_.expired()) {
            co_return fail(Errc::timeout, "the peer took no data in time");
        }
        co_return fail(Errc::io, "connection broken: " + error.message());
    }
    co_return Result<void>();
}

asio::awaitable<Result<void>> Stream::write(std::string bytes, Duration limit) {
    const std::array pieces = {asio::const_buffer(bytes.data(), bytes.size())};
    Result<void> written = co_await write(pieces, limit);
    co_return written;
}

void Stream::cancel_waits() {
    runtime::cancel_quietly(socket_);
}

void Stream::close() {
    if (tls_ && !writing_ && socket_.is_open()) {
        tls_->say_goodbye();
    }
    abort();
}

void Stream::abort() {
    runtime::close_quietly(socket_);
}

Stream::Peer Stream::look() {
    if (!socket_.is_open()) {
        return Peer::gone;
    }
    if (tls_) {
        const TlsLink::Step step = tls_->look();
        return step == TlsLink::Step::done        ? Peer::ready
               : step == TlsLink::Step::want_read ? Peer::quiet
                                                  : Peer::gone;
    }
    char byte = 0;
    const auto got = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0) {
        return Peer::ready;
    }
    const bool quiet = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    return quiet ? Peer::quiet : Peer::gone;
}

std::string Stream::peer_address() const {
    sockaddr_storage raw{};
    socklen_t size = sizeof raw;
    // native_handle() is not const in asio, though asking for the peer changes nothing.
    auto& socket = const_cast<Socket&>(socket_);
    if (::getpeername(socket.native_handle(), reinterpret_cast<sockaddr*>(&raw), &size) != 0) {
        return "unknown";
    }
    if (raw.ss_family != AF_INET && raw.ss_family != AF_INET6) {
        return "unix";
    }
    asio::ip::tcp::endpoint endpoint;
    endpoint.resize(size);
    std::memcpy(endpoint.data(), &raw, size);
    const auto address = endpoint.address();
    return address.is_v6() ? fmt::format("[{}]:{}", address.to_string(), endpoint.port())
                           : fmt::format("{}:{}", address.to_string(), endpoint.port());
}

void set_no_delay(Stream::Socket& socket) {
    const int on = 1;
    // Fails on Unix sockets, which have no such delay.
    (void)::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

} // namespace rbee::http
