#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/parser.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/stream.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace rbee::http {

/// Bounds of a listener; each has an answer and none is infinite.
struct ServerOptions {
    std::uint32_t head_bytes_max = 32 * 1024;
    std::size_t connections_max = 8192;
    Duration head_limit = std::chrono::seconds(10);  ///< From first byte to end of head.
    Duration idle_limit = std::chrono::seconds(75);  ///< Between requests on one connection.
    Duration read_limit = std::chrono::seconds(30);  ///< Without progress in a body.
    Duration write_limit = std::chrono::seconds(30); ///< Without progress at a slow reader.
};

/// Accepts connections on listening sockets and runs the handler for each request, one at a time
/// per connection, with keep-alive. Belongs to one event loop.
class Server {
public:
    /// Turns a failure of the edge itself (malformed head, handler without an answer) into a body.
    using ErrorBody = std::function<Response(const Error&, const std::string& correlation_id)>;
    /// Hears of exceptions that escaped a handler.
    using Report = std::function<void(const std::string& correlation_id, const std::string& what)>;

    Server(boost::asio::any_io_executor executor, Reaper& reaper, ServerOptions options);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    void set_handler(Handler handler, ErrorBody error_body, Report report);

    /// Starts to accept on `listener`, a bound and listening stream socket (TCP or Unix).
    [[nodiscard]] Result<void> serve(UniqueFd listener);

    /// Takes no new connections and closes idle ones; running requests go on, their connections
    /// close behind the answer.
    void drain();
    /// Cancels and closes everything, then waits until no handler runs.
    [[nodiscard]] boost::asio::awaitable<void> stop();

    [[nodiscard]] std::size_t connections() const { return sessions_.size(); }
    [[nodiscard]] std::size_t active_requests() const { return active_requests_; }

private:
    friend class Session;
    class Acceptor;
    void adopt(Stream::Socket socket);

    boost::asio::any_io_executor executor_;
    Reaper& reaper_;
    ServerOptions options_;
    Handler handler_;
    ErrorBody error_body_;
    Report report_;
    std::vector<std::shared_ptr<Acceptor>> acceptors_;
    std::unordered_set<Session*> sessions_;
    std::size_t active_requests_ = 0;
    bool draining_ = false;
};

} // namespace rbee::http
