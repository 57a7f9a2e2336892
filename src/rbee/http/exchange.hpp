#pragma once

#include "rbee/base/cancel.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/admission.hpp"
#include "rbee/http/message.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::http {

class Session;

/// One request and its answer, as a handler sees it. Lives as long as the handler runs; belongs to
/// the loop of its connection. A handler answers exactly once: respond(), or begin_stream() ...
/// end_stream(). When it returns without an answer, the client gets a 500.
class Exchange {
public:
    explicit Exchange(Session& session, RequestHead head);
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    [[nodiscard]] const RequestHead& head() const { return head_; }
    /// Address of the peer, "127.0.0.1:4711" or "unix".
    [[nodiscard]] const std::string& peer() const;
    /// The connection is TLS.
    [[nodiscard]] bool secure() const;
    /// Who the client is by its certificate: the URI of its subject alternative names, such as
    /// "hive:attic". Empty without a verified certificate.
    [[nodiscard]] const std::string& peer_identity() const;
    /// Time at which the first byte of the head arrived.
    [[nodiscard]] TimePoint received_at() const;

    /// Id that ties the log lines of all programs together; echoed in the answer.
    [[nodiscard]] const std::string& correlation_id() const { return correlation_id_; }
    /// Who is asking, such as "token:1a2b3c"; empty before authentication.
    std::string actor;
    /// Name of the token that was accepted, such as "laptop"; "dev" when authentication is off.
    std::string principal;
    /// Values of `{name}` segments of the matched route, in order, percent-decoded.
    std::vector<std::string> path_parameters;
    /// May change a whole answer, or look at it, before it goes out.
    std::function<void(Response& response)> before_answer;
    /// Awaited once, before the first byte of an answer goes out. What it gives, if anything, goes
    /// out instead; a stream that was to begin then fails with Errc::unavailable.
    std::function<boost::asio::awaitable<std::optional<Response>>()> before_begin;
    /// Largest body that inference routes take, of the server's options.
    [[nodiscard]] std::uint64_t inference_body_bytes_max() const;

    /// Reads the whole body, once; until then no byte of it has been asked for. Fails with
    /// Errc::too_large above `bytes_max`, Errc::unavailable (BODY_BUDGET_FULL) when the bodies of
    /// all requests take too much, Errc::timeout (BODY_TIMEOUT) when it comes too slowly,
    /// Errc::invalid_argument (BAD_CHUNK) and Errc::io.
    [[nodiscard]] boost::asio::awaitable<Result<std::string>> read_body(std::uint64_t bytes_max);

    /// Sends a whole answer.
    [[nodiscard]] boost::asio::awaitable<Result<void>> respond(Response response);

    /// Sends a head whose body follows in write() calls. With `length` the body is as long as that;
    /// without, it is chunked (HTTP/1.0 clients: until the connection closes).
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    begin_stream(int status, Headers headers, std::optional<std::uint64_t> length = std::nullopt);
    /// The same, but the head goes out together with the first bytes of the body, or at flush().
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    open_stream(int status, Headers headers, std::optional<std::uint64_t> length = std::nullopt);
    /// Sends a head that has been held back.
    [[nodiscard]] boost::asio::awaitable<Result<void>> flush();
    /// Sends body bytes at once. The view must stay valid until the call completes.
    [[nodiscard]] boost::asio::awaitable<Result<void>> write(std::string_view bytes);
    /// Ends the body in the way that says "complete".
    [[nodiscard]] boost::asio::awaitable<Result<void>> end_stream();
    /// Ends the connection so that the client sees the body is cut.
    void abort();

    [[nodiscard]] bool started() const { return started_; }
    [[nodiscard]] bool finished() const { return finished_; }
    [[nodiscard]] int status() const { return status_; }
    [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }

    /// Cancelled when the client goes away (noticed once the body has been read), and by whoever
    /// else wants this request to stop.
    [[nodiscard]] CancelSource& cancel() { return cancel_; }
    [[nodiscard]] boost::asio::any_io_executor executor();

private:
    friend class Session;
    [[nodiscard]] std::string make_head(int status, const Headers& headers) const;
    [[nodiscard]] boost::asio::awaitable<std::optional<Response>> other_answer();
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    collect_body(std::string* body, std::uint64_t bytes_max);
    [[nodiscard]] Duration body_wait(TimePoint begun, std::uint64_t received) const;
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    send(std::span<const boost::asio::const_buffer> pieces);

    Session& session_;
    RequestHead head_;
    std::string correlation_id_;
    CancelSource cancel_;
    bool started_ = false;
    bool finished_ = false;
    bool chunked_ = false;
    bool body_read_ = false;
    bool keep_alive_ = true;
    int status_ = 0;
    std::uint64_t bytes_sent_ = 0;
    std::string held_head_; ///< To go out with what comes next.
    std::optional<std::uint64_t> length_left_;
    Headers cors_;
    ByteBudget::Share body_share_; ///< Of the body, which handlers keep as long as they run.
};

/// Serves one request. Exceptions that escape become a 500.
using Handler = std::function<boost::asio::awaitable<void>(Exchange&)>;

} // namespace rbee::http
