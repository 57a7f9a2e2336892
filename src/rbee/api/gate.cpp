#include "rbee/api/gate.hpp"

#include "rbee/api/audit_hold.hpp"
#include "rbee/api/error_body.hpp"
#include "rbee/domain/validate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <chrono>
#include <exception>
#include <utility>

namespace rbee::api {

namespace asio = boost::asio;

namespace {

/// The scope that a token needs for a route; nothing where any token will do.
std::optional<auth::Scope> scope_of(http::Access access) {
    switch (access) {
    case http::Access::infer:
        return auth::Scope::infer;
    case http::Access::models:
        return auth::Scope::models;
    case http::Access::metrics:
        return auth::Scope::metrics;
    case http::Access::admin:
        return auth::Scope::admin;
    case http::Access::hive:
        return auth::Scope::hive;
    case http::Access::worker:
        return auth::Scope::worker;
    case http::Access::open:
    case http::Access::any:
        break;
    }
    return std::nullopt;
}

/// A path for the log: long ones, which nobody of ours sends, are cut.
std::string shown_path(const std::string& path) {
    constexpr std::size_t bytes_max = 256;
    return path.size() <= bytes_max ? path : path.substr(0, bytes_max) + "...";
}

Result<void> check_parameters(const std::vector<std::string>& values) {
    constexpr std::size_t bytes_max = 512;
    for (const std::string& value : values) {
        const auto good =
            domain::check_text("the path", value, {.bytes_max = bytes_max, .empty = false});
        if (!good) {
            return std::unexpected(domain::in_field(good.error(), "path"));
        }
    }
    return {};
}

} // namespace

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
          )),
          scope_failures(metrics.counter(
              prefix + "_auth_scope_failures_total", "Requests refused for lack of a right."
          )),
          auth_limited(metrics.counter(
              prefix + "_auth_limited_total",
              "Failed authentications answered with 429 because their source had too many."
          )),
          invalid_limited(metrics.counter(
              prefix + "_validation_limited_total",
              "Invalid requests answered with 429 because their client had too many."
          )),
          handshakes_failed(metrics.counter(
              prefix + "_tls_handshake_failures_total", "TLS handshakes that failed."
          )) {
        for (std::size_t i = 0; i < rejected.size(); ++i) {
            const auto reason = http::to_string(static_cast<http::Refusal>(i));
            rejected.at(i) = &metrics.counter(
                prefix + "_http_rejected_total",
                "Connections and requests that the HTTP edge turned away, by reason.",
                {{"reason", std::string(reason)}}
            );
        }
    }

    static constexpr const char* requests_help = "Requests answered, by class of status code.";
    std::array<prometheus::Counter*, 5> by_class;
    prometheus::Gauge& in_flight;
    prometheus::Histogram& duration;
    prometheus::Counter& auth_failures;
    prometheus::Counter& scope_failures;
    prometheus::Counter& auth_limited;
    prometheus::Counter& invalid_limited;
    prometheus::Counter& handshakes_failed;
    std::array<prometheus::Counter*, http::refusal_count> rejected{};
};

Gate::Gate(
    const auth::Authenticator& authenticator,
    telemetry::Logger& log,
    telemetry::Metrics& metrics,
    GateOptions options
)
    : authenticator_(authenticator), log_(log), metrics_(metrics), options_(std::move(options)),
      failures_(options_.failures), invalid_(options_.invalid),
      audit_(options_.audit, options_.service.empty() ? options_.program : options_.service),
      series_(std::make_shared<Series>(metrics, options_.prefix)) {
    router_.add(
        "GET",
        "/metrics",
        [this](http::Exchange& exchange) { return serve_metrics(exchange); },
        options_.metrics_auth ? http::Access::metrics : http::Access::open
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
    server.on_handshake_failure([this](const std::string& peer, const Error& why) {
        series_->handshakes_failed.Increment();
        log_.debug("tls_handshake_failed", why.what, {{"peer", peer}});
    });
    server.on_refused([series = series_](http::Refusal refusal) {
        series->rejected.at(static_cast<std::size_t>(refusal))->Increment();
    });
}

asio::awaitable<void> Gate::serve(http::Exchange& exchange) {
    series_->in_flight.Increment();
    exchange.before_answer = [this, &exchange](http::Response& response) {
        audit_.answered(exchange, response);
        limit_invalid(exchange, response);
    };
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
    std::optional<http::Response> answer = admit(exchange, match);
    if (!answer && match.route == nullptr) {
        answer = nothing_here(exchange, match);
    }
    if (const auto good = check_parameters(match.values); !answer && !good) {
        answer = error_response(good.error(), exchange.correlation_id());
    }
    if (!answer && audit_.must_precede(exchange, match.route->access)) {
        answer = co_await await_records(exchange);
    }
    if (answer) {
        const auto sent = co_await exchange.respond(std::move(*answer));
        (void)sent; // the client may have gone; there is nobody else to tell
        co_return;
    }
    exchange.path_parameters = std::move(match.values);
    co_await match.route->handler(exchange);
}

std::optional<http::Response>
Gate::admit(http::Exchange& exchange, const http::Router::Match& match) {
    // A path that nobody serves tells nothing either: only a valid token learns that it is not
    // there.
    const http::Access needed = match.route != nullptr ? match.route->access : http::Access::any;
    if (needed == http::Access::open) {
        return std::nullopt;
    }
    const http::RequestHead& head = exchange.head();
    const auth::Verdict verdict = authenticator_.check(head, options_.clock.wall());
    exchange.actor = verdict.actor;
    exchange.principal = verdict.principal;
    const telemetry::Logger log = log_.with_correlation(exchange.correlation_id());
    if (!verdict.allowed) {
        series_->auth_failures.Increment();
        log.warn(
            "auth_failed",
            "auth failed",
            {{"reason", verdict.log_reason},
             {"identity", verdict.actor},
             {"peer", exchange.peer()},
             {"path", shown_path(head.path)}}
        );
        return refuse(exchange, verdict);
    }
    const auto scope = scope_of(needed);
    if (scope && !verdict.scopes.allows(*scope)) {
        series_->scope_failures.Increment();
        log.warn(
            "auth_failed",
            "auth failed",
            {{"reason", "insufficient_scope"},
             {"identity", verdict.actor},
             {"principal", verdict.principal},
             {"scope", auth::to_string(*scope)},
             {"peer", exchange.peer()},
             {"path", shown_path(head.path)}}
        );
        return refuse_scope(exchange, auth::to_string(*scope));
    }
    const auto connection =
        options_.connections ? options_.connections(exchange, needed) : Result<void>();
    if (!connection) {
        return refuse_connection(exchange, connection.error());
    }
    audit_.let_in(exchange, needed);
    log.info(
        "authenticated",
        "authenticated",
        {{"identity", exchange.actor}, {"principal", exchange.principal}}
    );
    return std::nullopt;
}

http::Response Gate::refuse(http::Exchange& exchange, const auth::Verdict& verdict) {
    audit_.refused(exchange, verdict.log_reason);
    const auto wait = failures_.take(source_of(exchange.peer()), options_.clock.now());
    if (wait) {
        series_->auth_limited.Increment();
        audit_.limited(exchange, {static_cast<std::uint64_t>(options_.failures.burst)});
        http::Response response = error_response(
            {Errc::busy, "Too many failed authentications", "RATE_LIMITED"},
            exchange.correlation_id()
        );
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(*wait);
        response.headers.set("Retry-After", std::to_string(seconds.count()));
        return response;
    }
    http::Response response = error_response(verdict.error, exchange.correlation_id());
    if (response.status == 401) {
        // RFC 6750 §3: an error attribute only where credentials were given.
        const bool wrong_token = !verdict.actor.empty();
        response.headers.set(
            "WWW-Authenticate",
            fmt::format(
                "Bearer realm=\"{}\"{}",
                options_.program,
                wrong_token ? ", error=\"invalid_token\"" : ""
            )
        );
    }
    return response;
}

http::Response Gate::refuse_scope(http::Exchange& exchange, std::string_view scope) {
    audit_.refused(exchange, "insufficient_scope");
    http::Response response = error_response(
        {Errc::forbidden,
         fmt::format("This token has no right to do that; it needs the scope {}", scope),
         "INSUFFICIENT_SCOPE"},
        exchange.correlation_id()
    );
    response.headers.set(
        "WWW-Authenticate",
        fmt::format(
            "Bearer realm=\"{}\", error=\"insufficient_scope\", scope=\"{}\"",
            options_.program,
            scope
        )
    );
    return response;
}

http::Response Gate::refuse_connection(http::Exchange& exchange, const Error& why) {
    series_->scope_failures.Increment();
    log_.with_correlation(exchange.correlation_id())
        .warn(
            "auth_failed",
            "auth failed",
            {{"reason", "certificate"},
             {"identity", exchange.actor},
             {"certificate", exchange.peer_identity()},
             {"peer", exchange.peer()},
             {"path", shown_path(exchange.head().path)}}
        );
    audit_.refused(exchange, "certificate");
    return error_response(why, exchange.correlation_id());
}

http::Response
Gate::nothing_here(const http::Exchange& exchange, const http::Router::Match& match) const {
    if (match.allowed.empty()) {
        return error_response(
            {Errc::not_found, "there is nothing at this path", "NOT_FOUND"},
            exchange.correlation_id()
        );
    }
    http::Response response = error_response(
        {Errc::not_found, "this path does not take that method", "METHOD_NOT_ALLOWED"},
        exchange.correlation_id()
    );
    response.headers.add("Allow", fmt::format("{}", fmt::join(match.allowed, ", ")));
    return response;
}

void Gate::limit_invalid(http::Exchange& exchange, http::Response& response) {
    if (response.status != 400 ||
        invalid_.count(source_of(exchange.peer()), options_.clock.now())) {
        return;
    }
    series_->invalid_limited.Increment();
    audit_.limited(exchange, {options_.invalid.per_window});
    response = error_response(
        {Errc::busy, "Too many invalid requests", "RATE_LIMITED"}, exchange.correlation_id()
    );
    response.headers.set("Retry-After", "1");
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
        fmt::format("{} {}", head.method, shown_path(head.path)),
        {{"status", status},
         {"ms", took.count() * 1000.0},
         {"bytes", exchange.bytes_sent()},
         {"complete", exchange.finished()},
         {"identity", exchange.actor},
         {"principal", exchange.principal},
         {"peer", exchange.peer()}}
    );
}

} // namespace rbee::api
