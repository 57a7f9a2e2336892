#pragma once

#include "rbee/api/types.hpp"
#include "rbee/hive/resources.hpp"
#include "rbee/telemetry/metrics.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace rbee::hive {

/// How a relayed request ended.
enum class RelayEnd { complete, refused, upstream_failed, client_gone };

/// How a worker's process ended.
enum class ExitClass { stopped, forced, failed, crashed };

/// The series rbee_hive_*. Labels come from small fixed sets: no ids, no models.
class HiveMetrics {
public:
    explicit HiveMetrics(telemetry::Metrics& metrics);

    void spawned() { spawns_.Increment(); }
    /// `code` is the wire code of the refusal.
    void spawn_failed(std::string_view code);
    void loaded(double seconds) { load_seconds_.Observe(seconds); }
    void exited(ExitClass end);
    void relay_began() { in_flight_.Increment(); }
    void relay_ended(RelayEnd end, std::uint64_t bytes, double seconds);
    void health_checked(bool passed);
    void report_sent(bool delivered);
    void shut_down(double seconds) { shutdown_seconds_.Observe(seconds); }
    /// Sets the gauges to what is true now.
    void refresh(const std::vector<api::WorkerInfo>& workers, const Resources& resources);

private:
    telemetry::Metrics& metrics_;
    prometheus::Counter& spawns_;
    prometheus::Histogram& load_seconds_;
    prometheus::Histogram& shutdown_seconds_;
    prometheus::Gauge& in_flight_;
    prometheus::Counter& bytes_;
    prometheus::Histogram& relay_seconds_;
    prometheus::Gauge& failed_checks_;
    prometheus::Gauge& ram_total_;
    prometheus::Gauge& ram_available_;
    prometheus::Gauge& disk_total_;
    prometheus::Gauge& disk_available_;
    std::array<prometheus::Counter*, 4> exits_;
    std::array<prometheus::Counter*, 4> relayed_;
    std::array<prometheus::Counter*, 2> health_;
    std::array<prometheus::Counter*, 2> reports_;
    std::map<std::string, prometheus::Gauge*> workers_; ///< By state, backend and device.
};

} // namespace rbee::hive
