#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/telemetry/metrics.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace rbee::queen {

class Fleet;

/// The queen's series (rbee_queen_*). Labels are from fixed sets: never an id, a model or a name.
class QueenMetrics {
public:
    explicit QueenMetrics(telemetry::Metrics& metrics);

    /// One inference ended. `outcome` is one of ok, client_error, failed, broken, cancelled,
    /// queue_full, no_worker.
    void request_done(std::string_view path, std::string_view outcome);
    void queue_wait(Duration time) { wait_.Observe(seconds(time)); }
    void first_byte(Duration time) { first_byte_.Observe(seconds(time)); }
    void attempt() { attempts_.Increment(); }
    void requeue() { requeues_.Increment(); }
    /// A request is sent again, or is not although its last attempt failed: `reason` is budget or
    /// attempts then.
    void retry() { retries_.Increment(); }
    void retry_refused(std::string_view reason);
    /// A route breaker opened; `target` is worker or hive.
    void route_breaker_opened(std::string_view target);
    /// A request took a way whose breaker is open, because there was no other.
    void degraded_route() { degraded_.Increment(); }
    void spawn(std::string_view outcome);
    void in_flight(double change) { in_flight_.Increment(change); }
    void queue_depth(std::size_t depth) { depth_.Set(static_cast<double>(depth)); }
    /// Counts hives and workers anew.
    void count(const Fleet& fleet);

private:
    prometheus::Counter& openings(std::string_view target);
    prometheus::Counter& refusals(std::string_view reason);
    static double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

    telemetry::Metrics& metrics_;
    prometheus::Gauge& depth_;
    prometheus::Gauge& in_flight_;
    prometheus::Histogram& wait_;
    prometheus::Histogram& first_byte_;
    prometheus::Counter& attempts_;
    prometheus::Counter& requeues_;
    prometheus::Counter& retries_;
    prometheus::Counter& degraded_;
    /// Requests that are done, by kind of path and outcome.
    std::map<std::string_view, std::map<std::string, prometheus::Counter*, std::less<>>> done_;
};

/// The label for a request path: chat, completions, responses, messages, embeddings, rerank,
/// inference, tasks or other.
[[nodiscard]] std::string_view path_group(std::string_view path);

} // namespace rbee::queen
