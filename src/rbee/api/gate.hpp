#pragma once

#include "rbee/auth/bearer.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/router.hpp"
#include "rbee/http/server.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"

#include <boost/json/object.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace rbee::api {

/// Largest body of control routes (behaviour.md 2.4).
inline constexpr std::uint64_t control_body_bytes_max = 1024ULL * 1024;
/// Largest inference body unless configured.
inline constexpr std::uint64_t inference_body_bytes_max = 16ULL * 1024 * 1024;

/// What every request of a program passes, in this order: authentication (default deny), route,
/// handler, access log and metrics. One for each program; used from its loop.
class Gate {
public:
    /// `prefix` names the metrics: rbee_queen, rbee_hive or rbee_worker.
    Gate(
        const auth::Authenticator& authenticator,
        telemetry::Logger& log,
        telemetry::Metrics& metrics,
        const std::string& prefix
    );

    /// Routes are added before serving.
    [[nodiscard]] http::Router& router() { return router_; }
    /// Gives the gate to a server. The gate must outlive it.
    void attach(http::Server& server);

private:
    [[nodiscard]] boost::asio::awaitable<void> serve(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> dispatch(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> serve_metrics(http::Exchange& exchange);
    void finish(const http::Exchange& exchange);

    const auth::Authenticator& authenticator_;
    telemetry::Logger& log_;
    telemetry::Metrics& metrics_;
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
