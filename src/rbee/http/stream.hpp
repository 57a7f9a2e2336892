#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/tls.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace rbee::http {

/// A connected TCP or Unix socket, plain or with TLS, with a limit on each wait. Belongs to one
/// event loop. At most one read and one write at a time.
class Stream {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;

    /// What a look at the connection shows.
    enum class Peer {
        quiet, ///< There, and has sent nothing.
        ready, ///< Bytes wait to be read.
        gone,  ///< Has ended or broken the connection.
    };

    Stream(Socket socket, Reaper& reaper);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream() { close(); }

    /// Begins TLS as the server; `limit` is for the whole handshake. A client that speaks plain
    /// HTTP is Errc::invalid_argument with the code PLAIN_HTTP, and can be answered in the same
    /// way.
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    accept_tls(std::shared_ptr<TlsContext> context, Duration limit);
    /// Begins TLS as the client of `peer`. A certificate that is not trusted is Errc::unavailable
    /// with the code CERTIFICATE_UNTRUSTED.
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    connect_tls(std::shared_ptr<TlsContext> context, Endpoint peer, Duration limit);

    /// Waits at most `limit` for bytes. `into` is touched only at the end, when there is something,
    /// so that streams of one loop may share it: use what is in it before the next wait. 0 means
    /// that the peer has ended its side. Fails with Errc::timeout, after which the stream can still
    /// be written to, or with Errc::io when the connection broke or close() was called.
    [[nodiscard]] boost::asio::awaitable<Result<std::size_t>>
    read_some(std::span<char> into, Duration limit);

    /// Writes all pieces with as few system calls as possible; `limit` is for the whole.
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    write(std::span<const boost::asio::const_buffer> pieces, Duration limit);
    [[nodiscard]] boost::asio::awaitable<Result<void>> write(std::string bytes, Duration limit);

    /// Ends the connection and every wait on it; TLS says goodbye. Safe to call at any time and
    /// again.
    void close();
    /// The same without the goodbye, so that the peer can tell that something is missing.
    void abort();
    [[nodiscard]] bool open() const { return socket_.is_open(); }
    /// Looks without waiting. With TLS, bytes that are not the application's do not count.
    [[nodiscard]] Peer look();
    /// Has the peer ended or broken the connection?
    [[nodiscard]] bool peer_gone() { return look() == Peer::gone; }
    [[nodiscard]] bool secure() const { return tls_ != nullptr; }
    /// First URI in the verified certificate of the peer (RFC 5280, 4.2.1.6); empty without one.
    [[nodiscard]] std::string peer_identity() const;
    /// The TLS handshake used a session from before.
    [[nodiscard]] bool resumed() const { return tls_ != nullptr && tls_->resumed(); }
    [[nodiscard]] Socket& socket() { return socket_; }
    /// "127.0.0.1:4711", or "unix" for a Unix socket.
    [[nodiscard]] std::string peer_address() const;
    [[nodiscard]] boost::asio::any_io_executor executor() { return socket_.get_executor(); }

private:
    using Pieces = std::span<const boost::asio::const_buffer>;
    void cancel_waits();
    /// Why a read failed, once.
    [[nodiscard]] Error unreadable(const std::string& cause);
    [[nodiscard]] boost::asio::awaitable<Result<void>> handshake(Duration limit);
    [[nodiscard]] boost::asio::awaitable<Result<std::size_t>>
    read_tls(std::span<char> into, Duration limit);
    [[nodiscard]] boost::asio::awaitable<Result<void>> write_tls(Pieces pieces, Duration limit);
    [[nodiscard]] boost::asio::awaitable<Result<void>> send_tls(std::string_view bytes);
    [[nodiscard]] boost::asio::awaitable<boost::system::error_code> wait_for(TlsLink::Step step);

    Socket socket_;
    std::unique_ptr<TlsLink> tls_; ///< Null: plain.
    bool writing_ = false;         ///< With TLS: half a record may be out.
    bool drained_ = false;         ///< Nothing is left of what the kernel had.
    Reaper::Entry read_limit_;
    Reaper::Entry write_limit_;
};

/// Small writes go out at once (TCP_NODELAY); no effect on Unix sockets.
void set_no_delay(Stream::Socket& socket);

} // namespace rbee::http
