#pragma once

#include "rbee/base/cancel.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/message.hpp"
#include "rbee/http/parser.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/stream.hpp"
#include "rbee/http/tls.hpp"
#include "rbee/http/url.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::http {

class Client;

/// A request to send. Host, Content-Length and framing are added.
struct ClientRequest {
    std::string method = "GET";
    std::string target = "/";
    Headers headers = {};
    std::string body = {};
    std::string content_type = "application/json";
};

/// Limits of one call.
struct CallOptions {
    Duration connect_limit = std::chrono::seconds(5);
    Duration head_limit = std::chrono::seconds(30); ///< Until the response head is complete.
    Duration body_limit = std::chrono::seconds(30); ///< Without progress in the body.
    std::uint64_t body_bytes_max = 16ULL * 1024 * 1024;
    CancelSource* cancel = nullptr; ///< Ends the call at once when cancelled; may be null.
};

/// A response whose body is still coming. Destroying it before the end closes the connection, which
/// tells the server to stop. Belongs to the loop of the client.
class ResponseStream {
public:
    ResponseStream(
        Client& client, Endpoint endpoint, std::unique_ptr<Stream> stream, CallOptions options
    );
    ResponseStream(const ResponseStream&) = delete;
    ResponseStream& operator=(const ResponseStream&) = delete;
    ~ResponseStream();

    [[nodiscard]] const ResponseHead& head() { return parser_.head(); }
    /// next() will not wait: something has come already, or the end.
    [[nodiscard]] bool ready() const;
    /// Waits until something of the body, or its end, is there, without taking it; fails as next()
    /// does. What fails here has not shown anything to anybody yet.
    [[nodiscard]] boost::asio::awaitable<Result<void>> peek();
    /// The next body bytes, at least one; empty at the clean end. Valid until the next call. Fails
    /// with Errc::io when the response breaks off, Errc::timeout, or Errc::cancelled.
    [[nodiscard]] boost::asio::awaitable<Result<std::string_view>> next();

private:
    friend class Client;
    [[nodiscard]] boost::asio::awaitable<Result<void>> send(const ClientRequest& request);
    [[nodiscard]] boost::asio::awaitable<Result<void>> read_head();
    [[nodiscard]] boost::asio::awaitable<Result<bool>> fill(Duration limit);
    [[nodiscard]] Error explain(Error error) const;
    void give_back();

    Client& client_;
    Endpoint endpoint_;
    std::unique_ptr<Stream> stream_;
    CallOptions options_;
    ResponseParser parser_;
    std::string input_;
    std::string output_;
    CancelSource::Registration on_cancel_;
};

/// HTTP/1.1 client with a pool of kept-alive connections. Belongs to one event loop; must outlive
/// its response streams.
class Client {
public:
    struct Options {
        std::size_t idle_per_endpoint_max = 64;
        Duration idle_limit = std::chrono::seconds(30);
    };

    Client(boost::asio::any_io_executor executor, Reaper& reaper, Options options);
    Client(boost::asio::any_io_executor executor, Reaper& reaper)
        : Client(std::move(executor), reaper, Options{}) {}

    /// Sends a request and reads the whole answer. A status of 400 or more is an answer too.
    [[nodiscard]] boost::asio::awaitable<Result<Response>>
    fetch(Endpoint endpoint, ClientRequest request, CallOptions options);

    /// Sends a request and reads the head; the body is read from the stream.
    /// Fails with Errc::unavailable when no connection could be made: nothing was sent then.
    [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<ResponseStream>>>
    open(Endpoint endpoint, ClientRequest request, CallOptions options);

    /// What https endpoints are checked against and shown, from the next connection on; idle ones
    /// are dropped. Without it the CAs of the system are trusted.
    void use_tls(std::shared_ptr<TlsContext> context);

    /// Drops all idle connections.
    void close_idle() { idle_.clear(); }

private:
    friend class ResponseStream;
    struct Idle {
        std::unique_ptr<Stream> stream;
        TimePoint since;
    };
    [[nodiscard]] std::unique_ptr<Stream> take_idle(const Endpoint& endpoint);
    [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Stream>>>
    connect(Endpoint endpoint, CallOptions options);
    [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Stream>>>
    begin(Endpoint endpoint, CallOptions options, Stream::Socket socket);

    boost::asio::any_io_executor executor_;
    Reaper& reaper_;
    Options options_;
    std::shared_ptr<TlsContext> tls_; ///< Made when the first https endpoint is met.
    std::map<Endpoint, std::vector<Idle>> idle_;
    std::vector<char> scratch_; ///< What all responses are read with: see Stream::read_some().
};

} // namespace rbee::http
