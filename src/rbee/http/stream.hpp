#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/reaper.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace rbee::http {

/// A connected TCP or Unix socket with a limit on each wait. Belongs to one event loop. At most one
/// read and one write at a time.
class Stream {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;

    Stream(Socket socket, Reaper& reaper);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// Waits at most `limit` for bytes. 0 means that the peer has ended its side. Fails with
    /// Errc::timeout, after which the stream can still be written to, or with Errc::io when the
    /// connection broke or close() was called.
    [[nodiscard]] boost::asio::awaitable<Result<std::size_t>>
    read_some(std::span<char> into, Duration limit);

    /// Writes all pieces with as few system calls as possible; `limit` is for the whole.
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    write(std::span<const boost::asio::const_buffer> pieces, Duration limit);
    [[nodiscard]] boost::asio::awaitable<Result<void>> write(std::string bytes, Duration limit);

    /// Ends the connection and every wait on it. Safe to call at any time and again.
    void close();
    [[nodiscard]] bool open() const { return socket_.is_open(); }
    /// Looks without waiting: has the peer ended or broken the connection?
    [[nodiscard]] bool peer_gone();
    [[nodiscard]] Socket& socket() { return socket_; }
    /// "127.0.0.1:4711", or "unix" for a Unix socket.
    [[nodiscard]] std::string peer_address() const;
    [[nodiscard]] boost::asio::any_io_executor executor() { return socket_.get_executor(); }

private:
    void cancel_waits();

    Socket socket_;
    Reaper::Entry read_limit_;
    Reaper::Entry write_limit_;
};

/// Small writes go out at once (TCP_NODELAY); no effect on Unix sockets.
void set_no_delay(Stream::Socket& socket);

} // namespace rbee::http
