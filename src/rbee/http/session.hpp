#pragma once

#include "rbee/http/admission.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/parser.hpp"
#include "rbee/http/server.hpp"
#include "rbee/http/stream.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace rbee::http {

/// One accepted connection: reads heads, runs the handler, keeps the connection for the next one.
/// Kept alive by its own coroutine.
class Session : public std::enable_shared_from_this<Session> {
public:
    /// Where the connection came in.
    struct Origin {
        Source source;
        bool loopback = false;           ///< Only this machine reaches the listener.
        std::shared_ptr<TlsContext> tls; ///< Not null: it begins with a handshake.
    };

    /// Leaves the source counter of the server when it ends.
    Session(Server& server, Stream::Socket socket, Origin origin);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

    [[nodiscard]] boost::asio::awaitable<void> run();

    /// Stops now: cancels the running request and closes the socket.
    void close();
    /// Stops when nothing is running.
    void close_if_idle();

private:
    friend class Exchange;

    [[nodiscard]] boost::asio::awaitable<bool> secure();
    [[nodiscard]] boost::asio::awaitable<Result<bool>> read_head();
    [[nodiscard]] boost::asio::awaitable<bool> handle();
    [[nodiscard]] boost::asio::awaitable<void> answer(Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> run_handler(Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> refuse(Error error);
    [[nodiscard]] boost::asio::awaitable<void> send_error(Exchange& exchange, Error error);
    [[nodiscard]] boost::asio::awaitable<void> linger();
    /// Reads at most `bytes_max` more bytes into input_, which is no more than Server::scratch_
    /// has.
    [[nodiscard]] boost::asio::awaitable<Result<void>> fill(Duration limit, std::size_t bytes_max);
    void count(const Error& error) const;
    [[nodiscard]] bool last_request() const;
    [[nodiscard]] const ServerOptions& limits() const;
    void watch_client(CancelSource& cancel);
    void unwatch_client();

    Server& server_;
    Stream stream_;
    std::string peer_;
    Origin origin_;
    std::string peer_identity_; ///< From the client's certificate.
    RequestParser parser_;
    std::string input_; ///< Received and not parsed yet.
    TimePoint accepted_at_ = std::chrono::steady_clock::now();
    TimePoint received_at_;
    Exchange* exchange_ = nullptr;
    std::shared_ptr<boost::asio::cancellation_signal> watch_;
    bool first_ = true;   ///< No request has been read yet.
    bool unread_ = false; ///< The client was answered before it had sent everything.
    bool busy_ = false;
    bool closing_ = false;
};

} // namespace rbee::http
