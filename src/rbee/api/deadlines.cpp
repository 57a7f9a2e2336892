#include "rbee/api/deadlines.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/base/text.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

namespace rbee::api {

namespace json = boost::json;
using domain::milliseconds;

namespace {

constexpr std::string_view absolute_field = "X-Request-Deadline";
constexpr std::string_view relative_field = "X-Request-Timeout-Ms";
constexpr std::string_view stainless_field = "X-Stainless-Timeout";
constexpr std::string_view policy_field = "X-Deadline-Policy";
/// For the last bytes of a partial answer to get through a hop.
constexpr milliseconds partial_grace{100};
constexpr std::array stages = {
    Stage::arrived, Stage::queued, Stage::inference, Stage::prefill, Stage::decode
};

std::vector<std::string_view> all_of(const http::Headers& headers, std::string_view name) {
    std::vector<std::string_view> out;
    for (const auto& [field, value] : headers) {
        if (iequals(field, name)) {
            out.push_back(value);
        }
    }
    return out;
}

/// The first byte of the head on both clocks; neither is read for this request again.
domain::Arrival arrival_of(const http::Exchange& exchange) {
    const auto ago = std::chrono::steady_clock::now() - exchange.received_at();
    return {
        .boot = BootClock::now() - std::chrono::duration_cast<BootClock::duration>(ago),
        .wall =
            std::chrono::system_clock::now() - std::chrono::duration_cast<WallTime::duration>(ago),
    };
}

std::int64_t whole_ms(BootClock::duration time) {
    return std::chrono::duration_cast<milliseconds>(time).count();
}

} // namespace

std::string_view to_string(Stage stage) {
    switch (stage) {
    case Stage::arrived:
        return "arrived";
    case Stage::queued:
        return "queued";
    case Stage::inference:
        return "inference";
    case Stage::prefill:
        return "prefill";
    case Stage::decode:
        break;
    }
    return "decode";
}

RequestDeadline::RequestDeadline(
    runtime::DeadlineTimers& timers,
    domain::Deadline deadline,
    BootTime arrival,
    CancelSource& cancel
)
    : timers_(timers), deadline_(std::move(deadline)), arrival_(arrival), cancel_(cancel) {
    arm();
}

void RequestDeadline::arm() {
    // Of a default, only the time with a worker counts.
    if (!running()) {
        return;
    }
    BootTime due = deadline_.next_due(stage_ == Stage::decode);
    if (handed_over_ && deadline_.partial) {
        due += partial_grace;
    }
    entry_ = timers_.at(due, [this] { cancel_.cancel(CancelReason::deadline); });
}

void RequestDeadline::enter(Stage stage) {
    const bool first_token = stage == Stage::decode && stage_ != Stage::decode;
    stage_ = stage;
    if (first_token && deadline_.first_token_due) {
        arm();
    }
}

void RequestDeadline::assigned() {
    if (std::exchange(assigned_, true) || !deadline_.defaulted) {
        return;
    }
    deadline_ = deadline_.started_at(BootClock::now(), arrival_);
    arm();
}

void RequestDeadline::handed_over() {
    if (!std::exchange(handed_over_, true) && deadline_.partial) {
        arm();
    }
}

bool RequestDeadline::passed() const {
    return cancel_.reason() == CancelReason::deadline ||
           (running() && deadline_.next_due(stage_ == Stage::decode) <= BootClock::now());
}

Duration RequestDeadline::left() const {
    return std::max(
        std::chrono::duration_cast<Duration>(deadline_.due - BootClock::now()), Duration::zero()
    );
}

void RequestDeadline::forward(http::Headers& headers) const {
    const auto left = domain::forward_timeout(deadline_.due, BootClock::now());
    headers.set(absolute_field, deadline_.forward_absolute);
    headers.set(relative_field, std::to_string(left.count()));
}

Error RequestDeadline::error() const {
    const BootTime now = BootClock::now();
    const BootTime due = deadline_.next_due(stage_ == Stage::decode);
    Error error{Errc::timeout, "Request exceeded deadline", "REQUEST_TIMEOUT"};
    error.details = json::serialize(json::object{
        {"stage", to_string(stage_)},
        {"deadline", deadline_.forward_absolute},
        {"deadline_ms", whole_ms(due - arrival_)},
        {"elapsed_ms", whole_ms(now - arrival_)},
        {"exceeded_by_ms", std::max<std::int64_t>(whole_ms(now - due), 0)},
    });
    return error;
}

/// Looked up once; per request only atomic additions remain.
struct Deadlines::Series {
    Series(telemetry::Metrics& metrics, const std::string& prefix)
        : given(metrics.counter(prefix + requests, requests_help, {{"source", "client"}})),
          defaulted(metrics.counter(prefix + requests, requests_help, {{"source", "default"}})),
          clamped(
              metrics.counter(prefix + "_deadline_clamped_total", "Deadlines cut down to the cap.")
          ),
          extensions(metrics.counter(
              prefix + "_deadline_extensions_refused_total",
              "Headers that would have gone past the request's own timeout."
          )),
          skewed(metrics.counter(
              prefix + "_deadline_clock_skew_total",
              "Absolute deadlines ignored because they were far off the relative one."
          )) {
        for (std::size_t at = 0; at < stages.size(); ++at) {
            expired.at(at) = &metrics.counter(
                prefix + "_deadline_expired_total",
                "Requests ended by their deadline, by how far they were.",
                {{"stage", std::string(to_string(stages.at(at)))}}
            );
        }
    }

    static constexpr const char* requests = "_deadline_requests_total";
    static constexpr const char* requests_help = "Requests with a deadline, by who set it.";
    prometheus::Counter& given;
    prometheus::Counter& defaulted;
    prometheus::Counter& clamped;
    prometheus::Counter& extensions;
    prometheus::Counter& skewed;
    std::array<prometheus::Counter*, stages.size()> expired{};
};

Deadlines::Deadlines(Parts parts, Policies policies)
    : timers_(parts.timers), log_(parts.log), policies_(std::move(policies)),
      series_(std::make_shared<Series>(parts.metrics, parts.prefix)) {}

const domain::DeadlinePolicy& Deadlines::policy_for(std::string_view model) const {
    const auto found = policies_.by_model.find(model);
    return found == policies_.by_model.end() ? policies_.general : found->second;
}

Result<std::unique_ptr<RequestDeadline>>
Deadlines::begin(http::Exchange& exchange, const Hints& hints) {
    const http::Headers& headers = exchange.head().headers;
    const domain::Arrival arrival = arrival_of(exchange);
    const domain::DeadlineFields fields{
        .absolute = all_of(headers, absolute_field),
        .relative = all_of(headers, relative_field),
        .stainless = all_of(headers, stainless_field),
        .body_ms = hints.deadline_ms,
        .policy = all_of(headers, policy_field),
        .stream = hints.stream,
    };
    auto deadline = domain::effective_deadline(fields, arrival, policy_for(hints.model));
    if (!deadline) {
        return error_of(deadline);
    }
    if (deadline->partial && stream_dialect_of(exchange.head().path) == StreamDialect::responses) {
        return fail(
            Errc::invalid_argument,
            "X-Deadline-Policy: partial is not supported on this path",
            "INVALID_DEADLINE"
        );
    }
    note(exchange, *deadline);
    auto request = std::make_unique<RequestDeadline>(
        timers_, std::move(*deadline), arrival.boot, exchange.cancel()
    );
    if (request->passed()) {
        expired(*request);
        return std::unexpected(request->error());
    }
    return request;
}

void Deadlines::note(const http::Exchange& exchange, const domain::Deadline& deadline) {
    (deadline.defaulted ? series_->defaulted : series_->given).Increment();
    if (deadline.clamped) {
        series_->clamped.Increment();
    }
    if (deadline.skew_ignored) {
        series_->skewed.Increment();
    }
    if (deadline.extension_refused) {
        series_->extensions.Increment();
        log_.with_correlation(exchange.correlation_id())
            .warn(
                "deadline_extension_refused",
                "a header would have extended the request's own timeout; the shorter one counts",
                {{"identity", exchange.actor}}
            );
    }
}

void Deadlines::expired(const RequestDeadline& deadline) {
    series_->expired.at(static_cast<std::size_t>(deadline.stage()))->Increment();
}

} // namespace rbee::api
