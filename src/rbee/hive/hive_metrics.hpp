#pragma once

#include "rbee/api/types.hpp"
#include "rbee/hive/resources.hpp"
#include "rbee/telemetry/metrics.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace rbee::hive {

/// How a relayed request ended.
enum class RelayEnd { complete, refused, upstream_failed, client_gone };

/// How a worker's process ended.
enum class ExitClass { stopped, forced, failed, crashed };

/// Why a worker died that nobody had asked to stop.
enum class CrashCause {
    clean_exit, ///< Exit code 0, unasked.
    exit_code,
    segfault, ///< SIGSEGV or SIGBUS.
    abort,
    killed, ///< SIGKILL, not by the hive and without evidence of a lack of memory.
    other_signal,
    out_of_memory,
    configuration,
    stalled, ///< The hive ended it: it was busy and did not get on.
    loading, ///< The hive ended it: its loading did not get on.
    unknown, ///< Nobody could see how it ended.
};

/// What told first that a worker can take no more requests.
enum class Detection {
    pulse, ///< Its mutex lost its owner: the kernel tears it down.
    stall, ///< It owed answers and its progress stood still.
};

/// The label value of a cause, such as "out_of_memory".
[[nodiscard]] std::string_view to_string(CrashCause cause);

/// The series rbee_hive_*. Labels come from small fixed sets: no ids, no models.
class HiveMetrics {
public:
    explicit HiveMetrics(telemetry::Metrics& metrics);

    void spawned() { spawns_.Increment(); }
    /// `code` is the wire code of the refusal.
    void spawn_failed(std::string_view code);
    void loaded(double seconds) { load_seconds_.Observe(seconds); }
    /// Counts the end of a process; `stopped` and `forced` as graceful and forced stops too.
    void exited(ExitClass end);
    void crashed(CrashCause cause);
    /// `seconds` from the first sign until no request could be sent to it any more; for a stall
    /// from its last progress.
    void detected(Detection how, double seconds);
    /// A process was started again in its slot.
    void restarted() { restarts_.Increment(); }
    /// A restart did not lead to a ready worker, or was given up.
    void restart_failed() { restart_failures_.Increment(); }
    /// `seconds` from the end of a worker until its slot was ready again.
    void recovered(double seconds) { recovery_seconds_.Observe(seconds); }
    void breaker_activated() { breaker_activations_.Increment(); }
    /// How many start breakers are open and half open now.
    void breakers(std::size_t open, std::size_t half_open);
    void relay_began() { in_flight_.Increment(); }
    void relay_ended(RelayEnd end, std::uint64_t bytes, double seconds);
    void health_checked(bool passed);
    void report_sent(bool delivered);
    void shut_down(double seconds) { shutdown_seconds_.Observe(seconds); }
    /// Sets the gauges to what is true now.
    void refresh(const std::vector<api::WorkerInfo>& workers, const Resources& resources);

private:
    static constexpr std::size_t crash_causes = 11;

    void make_crash_series();

    telemetry::Metrics& metrics_;
    prometheus::Counter& spawns_;
    prometheus::Histogram& load_seconds_;
    prometheus::Histogram& shutdown_seconds_;
    prometheus::Histogram& recovery_seconds_;
    prometheus::Counter& restarts_;
    prometheus::Counter& restart_failures_;
    prometheus::Counter& breaker_activations_;
    prometheus::Gauge& breakers_open_;
    prometheus::Gauge& breakers_half_open_;
    prometheus::Counter& graceful_stops_;
    prometheus::Counter& forced_stops_;
    prometheus::Gauge& in_flight_;
    prometheus::Counter& bytes_;
    prometheus::Histogram& relay_seconds_;
    prometheus::Gauge& failed_checks_;
    prometheus::Gauge& restart_count_;
    prometheus::Gauge& ram_total_;
    prometheus::Gauge& ram_available_;
    prometheus::Gauge& disk_total_;
    prometheus::Gauge& disk_available_;
    std::array<prometheus::Counter*, 4> exits_;
    std::array<prometheus::Counter*, crash_causes> crashes_{};
    std::array<prometheus::Histogram*, 2> detection_seconds_{};
    std::array<prometheus::Counter*, 4> relayed_;
    std::array<prometheus::Counter*, 2> health_;
    std::array<prometheus::Counter*, 2> reports_;
    std::map<std::string, prometheus::Gauge*> workers_; ///< By state, backend and device.
};

} // namespace rbee::hive
