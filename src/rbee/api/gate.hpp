#pragma once

#include "rbee/api/gate_audit.hpp"
#include "rbee/api/validation_limiter.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/source_limiter.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/router.hpp"
#include "rbee/http/server.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"

#include <boost/json/object.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::api {

/// Largest body of control routes (behaviour.md 2.4).
inline constexpr std::uint64_t control_body_bytes_max = 1024ULL * 1024;

/// How a program sets up its gate.
struct GateOptions {
    std::string program; ///< Realm of WWW-Authenticate, such as "queen-rbee".
    std::string prefix;  ///< Of the metrics: rbee_queen, rbee_hive or rbee_worker.
    const Clock& clock;
    bool metrics_auth = false; ///< /metrics needs the scope `metrics`; else it is open.
    /// What connection a right may come over, such as TLS with the certificate of a hive; asked
    /// after the token. Null: any.
    std::function<Result<void>(const http::Exchange& exchange, http::Access needed)> connections =
        nullptr;
    /// Failed authentications of one source before they are answered with 429. What is accepted is
    /// neither counted nor delayed.
    SourceLimiter::Options failures = {};
    /// Requests that fail validation, of one client, before they are answered with 429.
    ValidationLimiter::Options invalid = {};
    audit::Logger* audit = nullptr; ///< Where who was let in and who was not is recorded; or none.
    std::string service = {};       ///< Who records it; empty: the program.
};

/// What every request of a program passes, in this order: authentication (default deny: what is not
/// explicitly open needs a token, unknown paths too), right, route, handler, access log and
/// metrics. All of it is decided by the head, before a byte of the body is read. One for each
/// program; used from its loop.
class Gate {
public:
    Gate(
        const auth::Authenticator& authenticator,
        telemetry::Logger& log,
        telemetry::Metrics& metrics,
        GateOptions options
    );

    /// Routes are added before serving.
    [[nodiscard]] http::Router& router() { return router_; }
    /// Gives the gate to a server. The gate must outlive it.
    void attach(http::Server& server);

private:
    [[nodiscard]] boost::asio::awaitable<void> serve(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> dispatch(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> serve_metrics(http::Exchange& exchange);
    /// Nothing when the caller may go on, else the answer.
    [[nodiscard]] std::optional<http::Response>
    admit(http::Exchange& exchange, const http::Router::Match& match);
    [[nodiscard]] http::Response refuse(http::Exchange& exchange, const auth::Verdict& verdict);
    [[nodiscard]] http::Response refuse_scope(http::Exchange& exchange, std::string_view scope);
    [[nodiscard]] http::Response refuse_connection(http::Exchange& exchange, const Error& why);
    [[nodiscard]] http::Response
    nothing_here(const http::Exchange& exchange, const http::Router::Match& match) const;
    /// Turns an answer that says "invalid" into 429 for a client that gets too many of them.
    void limit_invalid(http::Exchange& exchange, http::Response& response);
    void finish(const http::Exchange& exchange);

    const auth::Authenticator& authenticator_;
    telemetry::Logger& log_;
    telemetry::Metrics& metrics_;
    GateOptions options_;
    SourceLimiter failures_;
    ValidationLimiter invalid_;
    GateAudit audit_;
    http::Router router_;
    struct Series;
    std::shared_ptr<Series> series_;
};

/// Answers with an error in the one shape; ignores that the client may have gone.
[[nodiscard]] boost::asio::awaitable<void> respond_error(http::Exchange& exchange, Error error);

/// Answers with a JSON document.
[[nodiscard]] boost::asio::awaitable<void>
respond_json(http::Exchange& exchange, int status, boost::json::object body);

/// Reads a control body and parses it as an object.
[[nodiscard]] boost::asio::awaitable<Result<boost::json::object>>
read_object(http::Exchange& exchange, std::uint64_t bytes_max = control_body_bytes_max);

} // namespace rbee::api
