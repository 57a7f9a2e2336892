#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/http/admission.hpp"
#include "rbee/http/edge.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/parser.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/stream.hpp"
#include "rbee/http/tls.hpp"

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
#include <utility>
#include <vector>

namespace rbee::http {

/// Bounds of a listener; each has an answer and none is infinite.
struct ServerOptions {
    std::uint32_t head_bytes_max = 16 * 1024;              ///< 431 above.
    std::uint32_t target_bytes_max = 8 * 1024;             ///< 414 above.
    std::uint32_t fields_max = 100;                        ///< 431 above.
    std::size_t connections_max = 4096;                    ///< Closed at once above.
    std::size_t connections_per_source_max = 256;          ///< The same; 0 = no limit of its own.
    std::uint64_t inference_body_bytes_max = 16ULL << 20U; ///< Of one request; 413 above.
    std::uint64_t bodies_bytes_max = 256ULL << 20U;        ///< Of all requests together; 503 above.
    /// From accept, or from the first byte of a later request, to the end of the head.
    Duration head_limit = std::chrono::seconds(10);
    Duration idle_limit = std::chrono::seconds(60);  ///< Between requests on one connection.
    Duration read_limit = std::chrono::seconds(30);  ///< Without progress in a body.
    Duration body_grace = std::chrono::seconds(10);  ///< From then on a body must have ...
    std::uint64_t body_rate_min = 1024;              ///< ... come at this many bytes a second.
    Duration write_limit = std::chrono::seconds(30); ///< Without progress at a slow reader.
    BrowserPolicy browsers = {};
};

/// Accepts connections on listening sockets and runs the handler for each request, one at a time
/// per connection, with keep-alive. Belongs to one event loop.
class Server {
public:
    /// Turns a failure of the edge itself (malformed head, handler without an answer) into a body.
    using ErrorBody = std::function<Response(const Error&, const std::string& correlation_id)>;
    /// Hears of exceptions that escaped a handler.
    using Report = std::function<void(const std::string& correlation_id, const std::string& what)>;
    /// Hears of everything that the edge turns away, to count it.
    using Refused = std::function<void(Refusal)>;

    Server(boost::asio::any_io_executor executor, Reaper& reaper, ServerOptions options);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    ~Server();

    void set_handler(Handler handler, ErrorBody error_body, Report report);
    void on_refused(Refused refused) { refused_ = std::move(refused); }

    /// How the connections of a listener begin.
    enum class Security {
        plain,
        tls, ///< With the context of use_tls().
    };
    /// Starts to accept on `listener`, a bound and listening stream socket (TCP or Unix).
    [[nodiscard]] Result<void> serve(UniqueFd listener, Security security = Security::plain);

    /// Keys for TLS listeners; new connections use them from now on, old ones keep theirs.
    void use_tls(std::shared_ptr<TlsContext> context) { tls_ = std::move(context); }
    /// Hears of TLS handshakes that failed: who, and why.
    using HandshakeReport = std::function<void(const std::string& peer, const Error& why)>;
    void on_handshake_failure(HandshakeReport report) { handshake_report_ = std::move(report); }

    /// Other limits from now on, for open connections too, at their next step.
    void set_options(ServerOptions options);

    /// Takes no new connections and closes idle ones; running requests go on, their connections
    /// close behind the answer.
    void drain();
    /// Cancels and closes everything, then waits until no handler runs.
    [[nodiscard]] boost::asio::awaitable<void> stop();

    [[nodiscard]] std::size_t connections() const { return sessions_.size(); }
    [[nodiscard]] std::size_t active_requests() const { return active_requests_; }

private:
    friend class Exchange;
    friend class Session;
    class Acceptor;
    /// Where connections come in.
    struct Entrance {
        int family = 0;
        bool loopback = false; ///< Only this machine reaches it.
        Security security = Security::plain;
    };
    void adopt(Stream::Socket socket, const Source& source, const Entrance& entrance);
    void count(Refusal refusal) const;

    boost::asio::any_io_executor executor_;
    Reaper& reaper_;
    ServerOptions options_;
    Handler handler_;
    ErrorBody error_body_;
    Report report_;
    Refused refused_;
    SourceCounter sources_;
    ByteBudget bodies_;
    HandshakeReport handshake_report_;
    std::shared_ptr<TlsContext> tls_;
    std::vector<std::shared_ptr<Acceptor>> acceptors_;
    std::unordered_set<Session*> sessions_;
    std::size_t active_requests_ = 0;
    bool draining_ = false;
    /// What all connections are read with: see Stream::read_some().
    std::vector<char> scratch_ = std::vector<char>(32UL * 1024);
};

} // namespace rbee::http
