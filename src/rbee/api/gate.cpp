#include "rbee/api/gate.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/json.hpp"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <chrono>
#include <exception>
#include <utility>

namespace rbee::api {

namespace asio = boost::asio;
namespace json = boost::json;

/// Metric series looked up once; per request only atomic additions remain.
struct Gate::Series {
    Series(telemetry::Metrics& metrics, const std::string& prefix)
        : by_class{
              &metrics.counter(prefix + "_http_requests_total", requests_help, {{"code", "1xx"}}),
              &metrics.counter(prefix + "_http_requests_total", requests_help, {{"code", "2xx"}}),
              &metrics.counter(prefix + "_http_requests_total", requests_help, {{"code", "3xx"}}),
              &metrics.counter(prefix + "_http_requests_total", requests_help, {{"code", "4xx"}}),
              &metrics.counter(prefix + "_http_requests_total", requests_help, {{"code", "5xx"}}),
          },
          in_flight(metrics.gauge(prefix + "_http_requests_in_flight", "Requests being handled.")),
          duration(metrics.histogram(
              prefix + "_http_request_duration_seconds",
              "Time from the first byte of a request to the end of its answer.",
              {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
          )),
          auth_failures(metrics.counter(
              prefix + "_auth_failures_total", "Requests refused for lack of a valid token."
          )) {}

    static constexpr const char* requests_help = "Requests answered, by class of status code.";
    std::array<prometheus::Counter*, 5> by_class;
    prometheus::Gauge& in_flight;
    prometheus::Histogram& duration;
    prometheus::Counter& auth_failures;
};

Gate::Gate(
    const auth::Authenticator& authenticator,
    telemetry::Logger& log,
    telemetry::Metrics& metrics,
    const std::string& prefix
)
    : authenticator_(authenticator), log_(log), metrics_(metrics),
      series_(std::make_shared<Series>(metrics, prefix)) {
    router_.add(
        "GET",
        "/metrics",
        [this](http::Exchange& exchange) { return serve_metrics(exchange); },
        http::Access::open
    );
}

void Gate::attach(http::Server& server) {
    server.set_handler(
        [this](http::Exchange& exchange) { return serve(exchange); },
        [](const Error& error, const std::string& correlation_id) {
            return error_response(error, correlation_id);
        },
        [this](const std::string& correlation_id, const std::string& what) {
            log_.with_correlation(correlation_id)
                .error("handler_failed", "a request handler failed", {{"cause", what}});
        }
    );
}

asio::awaitable<void> Gate::serve(http::Exchange& exchange) {
    series_->in_flight.Increment();
    std::exception_ptr failure;
    try {
        co_await dispatch(exchange);
    } catch (...) {
        failure = std::current_exception();
    }
    series_->in_flight.Decrement();
    finish(exchange);
    if (failure) {
        std::rethrow_exception(failure);
    }
}

asio::awaitable<void> Gate::serve_metrics(http::Exchange& exchange) {
    http::Response response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics_.text();
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // a scraper that left needs no answer
}

asio::awaitable<void> Gate::dispatch(http::Exchange& exchange) {
    const http::RequestHead& head = exchange.head();
    auto match = router_.find(head.method, head.path);
    const bool open = match.route != nullptr && match.route->access == http::Access::open;
    const telemetry::Logger log = log_.with_correlation(exchange.correlation_id());
    if (!open) {
        auth::Verdict verdict = authenticator_.check(head.headers);
        exchange.actor = verdict.actor;
        if (!verdict.allowed) {
            series_->auth_failures.Increment();
            log.warn(
                "auth_failed",
                "auth failed",
                {{"reason", verdict.log_reason},
                 {"identity", verdict.actor},
                 {"peer", exchange.peer()},
                 {"path", head.path}}
            );
            co_await respond_error(exchange, std::move(verdict.error));
            co_return;
        }
        log.debug("authenticated", "authenticated", {{"identity", exchange.actor}});
    }
    if (match.route == nullptr) {
        const bool method_only = !match.allowed.empty();
        Error error =
            method_only
                ? Error{Errc::not_found, "this path does not take that method", "METHOD_NOT_ALLOWED"}
                : Error{Errc::not_found, "there is nothing at this path", "NOT_FOUND"};
        http::Response response = error_response(error, exchange.correlation_id());
        if (method_only) {
            response.headers.add("Allow", fmt::format("{}", fmt::join(match.allowed, ", ")));
        }
        const auto sent = co_await exchange.respond(std::move(response));
        (void)sent; // the client may have gone; there is nobody else to tell
        co_return;
    }
    exchange.path_parameters = std::move(match.values);
    co_await match.route->handler(exchange);
}

void Gate::finish(const http::Exchange& exchange) {
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - exchange.received_at();
    series_->duration.Observe(took.count());
    const int status = exchange.status();
    if (status >= 100 && status < 600) {
        series_->by_class.at(static_cast<std::size_t>(status / 100 - 1))->Increment();
    }
    // Health checks and scrapes would drown everything else.
    const http::RequestHead& head = exchange.head();
    const bool quiet =
        head.path == "/health" || head.path == "/v1/health" || head.path == "/metrics";
    const telemetry::Logger log = log_.with_correlation(exchange.correlation_id());
    log.write(
        quiet ? telemetry::Level::debug : telemetry::Level::info,
        "request",
        fmt::format("{} {}", head.method, head.path),
        {{"status", status},
         {"ms", took.count() * 1000.0},
         {"bytes", exchange.bytes_sent()},
         {"complete", exchange.finished()},
         {"identity", exchange.actor},
         {"peer", exchange.peer()}}
    );
}

asio::awaitable<void> respond_error(http::Exchange& exchange, Error error) {
    const auto sent = co_await exchange.respond(error_response(error, exchange.correlation_id()));
    (void)sent; // the client may have gone; there is nobody else to tell
}

asio::awaitable<void> respond_json(http::Exchange& exchange, int status, json::object body) {
    http::Response response;
    response.status = status;
    response.body = json::serialize(body);
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // the client may have gone; there is nobody else to tell
}

asio::awaitable<Result<json::object>>
read_object(http::Exchange& exchange, std::uint64_t bytes_max) {
    const auto body = co_await exchange.read_body(bytes_max);
    if (!body) {
        co_return error_of(body);
    }
    co_return parse_object(*body);
}

} // namespace rbee::api
