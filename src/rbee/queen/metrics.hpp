#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/telemetry/metrics.hpp"

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
    void spawn(std::string_view outcome);
    void in_flight(double change) { in_flight_.Increment(change); }
    void queue_depth(std::size_t depth) { depth_.Set(static_cast<double>(depth)); }
    /// Counts hives and workers anew.
    void count(const Fleet& fleet);

private:
    static double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

    telemetry::Metrics& metrics_;
    prometheus::Gauge& depth_;
    prometheus::Gauge& in_flight_;
    prometheus::Histogram& wait_;
    prometheus::Histogram& first_byte_;
    prometheus::Counter& attempts_;
    prometheus::Counter& requeues_;
};

/// The label for a request path: chat, completions, responses, messages, embeddings, rerank,
/// inference, tasks or other.
[[nodiscard]] std::string_view path_group(std::string_view path);

} // namespace rbee::queen
