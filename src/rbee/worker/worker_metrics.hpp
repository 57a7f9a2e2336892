#pragma once

#include "rbee/base/cancel.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/telemetry/metrics.hpp"
#include "rbee/worker/status.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace rbee::worker {

/// The dialect in lower case, as metric labels and logs show it.
[[nodiscard]] std::string_view to_string(engine::Dialect dialect);

/// How a generation request ended, for metrics.
enum class Outcome { success, error, invalid, cancelled, timeout, busy, not_ready };

/// The series rbee_worker_*. Made once; every method is a few atomic operations.
class WorkerMetrics {
public:
    WorkerMetrics(telemetry::Metrics& metrics, WallTime started);

    void request(engine::Dialect dialect, Outcome outcome);
    void cancelled(CancelReason reason);
    void tokens(const engine::Usage& usage);
    void first_token(Duration after);
    void next_token(Duration after);
    /// `count` tokens came within `all`, nobody knows when each.
    void next_tokens(Duration all, std::uint32_t count);
    /// A slot became free so long after the cancel of its generation.
    void slot_free(Duration after);
    /// Tokens that the engine gave after a cancel.
    void tokens_after_cancel(std::size_t count);
    void slots(std::uint32_t total, std::uint32_t busy);
    void state(std::string_view name);
    void loaded(Duration took);
    void uptime(Duration uptime);

private:
    static constexpr std::size_t dialects = 5;
    static constexpr std::size_t outcomes = 7;
    static constexpr std::size_t reasons = 5;

    std::array<std::array<prometheus::Counter*, outcomes>, dialects> requests_{};
    std::array<prometheus::Counter*, reasons> cancellations_{};
    std::map<std::string, prometheus::Gauge*, std::less<>> states_;
    prometheus::Counter& prompt_tokens_;
    prometheus::Counter& cached_tokens_;
    prometheus::Counter& generated_tokens_;
    prometheus::Histogram& first_token_;
    prometheus::Histogram& inter_token_;
    prometheus::Histogram& slot_free_;
    prometheus::Counter& tokens_after_cancel_;
    prometheus::Gauge& slots_;
    prometheus::Gauge& slots_busy_;
    prometheus::Gauge& load_seconds_;
    prometheus::Gauge& uptime_seconds_;
};

} // namespace rbee::worker
