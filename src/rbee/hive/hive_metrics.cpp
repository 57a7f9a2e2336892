#include "rbee/hive/hive_metrics.hpp"

#include "rbee/base/text.hpp"
#include "rbee/domain/worker_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace rbee::hive {
namespace {

const std::vector<double> seconds_buckets = {
    0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300
};

/// Refusals that have a series of their own; the rest are "other", so that the set stays small.
constexpr std::array<std::string_view, 9> known_refusals = {
    "INVALID_MODEL_REF",
    "INVALID_REQUEST",
    "MODEL_NOT_FOUND",
    "BACKEND_UNAVAILABLE",
    "INSUFFICIENT_RAM",
    "INSUFFICIENT_VRAM",
    "WORKER_FAILED",
    "WORKER_BINARY_NOT_FOUND",
    "NO_FREE_PORT",
};

double as_number(std::uint64_t value) {
    return static_cast<double>(value);
}

} // namespace

HiveMetrics::HiveMetrics(telemetry::Metrics& metrics)
    : metrics_(metrics),
      spawns_(metrics.counter("rbee_hive_worker_spawns_total", "Workers started.")),
      load_seconds_(metrics.histogram(
          "rbee_hive_worker_load_seconds",
          "Time from start of a worker until it was ready.",
          seconds_buckets
      )),
      shutdown_seconds_(metrics.histogram(
          "rbee_hive_shutdown_duration_seconds",
          "Time that stopping all workers took.",
          seconds_buckets
      )),
      in_flight_(metrics.gauge("rbee_hive_relay_in_flight", "Requests being relayed to workers.")),
      bytes_(metrics.counter("rbee_hive_relay_bytes_total", "Answer bytes relayed to clients.")),
      relay_seconds_(metrics.histogram(
          "rbee_hive_inference_duration_seconds", "Duration of relayed requests.", seconds_buckets
      )),
      failed_checks_(metrics.gauge(
          "rbee_hive_workers_failed_health_checks",
          "Failed health checks in a row, sum over the workers."
      )),
      ram_total_(metrics.gauge("rbee_hive_memory_total_bytes", "Memory of this machine.")),
      ram_available_(metrics.gauge("rbee_hive_memory_available_bytes", "Memory free for use.")),
      disk_total_(metrics.gauge("rbee_hive_disk_total_bytes", "Size of the disk with the models.")),
      disk_available_(metrics.gauge("rbee_hive_disk_available_bytes", "Free space of that disk.")),
      exits_{}, relayed_{}, health_{}, reports_{} {
    static constexpr std::array exits = {"stopped", "forced", "failed", "crashed"};
    static constexpr std::array ends = {"complete", "refused", "upstream_failed", "client_gone"};
    static constexpr std::array checks = {"failure", "success"};
    for (std::size_t i = 0; i < exits.size(); ++i) {
        exits_.at(i) = &metrics.counter(
            "rbee_hive_worker_exits_total", "Worker processes that ended.", {{"class", exits.at(i)}}
        );
        relayed_.at(i) = &metrics.counter(
            "rbee_hive_inference_requests_total",
            "Relayed requests, by outcome.",
            {{"status", ends.at(i)}}
        );
    }
    for (std::size_t i = 0; i < checks.size(); ++i) {
        health_.at(i) = &metrics.counter(
            "rbee_hive_health_checks_total", "Health checks of workers.", {{"result", checks.at(i)}}
        );
        reports_.at(i) = &metrics.counter(
            "rbee_hive_reports_total", "Reports to the queen.", {{"result", checks.at(i)}}
        );
    }
}

void HiveMetrics::spawn_failed(std::string_view code) {
    const bool known = std::ranges::find(known_refusals, code) != known_refusals.end();
    metrics_
        .counter(
            "rbee_hive_worker_spawn_failures_total",
            "Workers that were not started, by reason.",
            {{"reason", known ? to_lower(code) : std::string("other")}}
        )
        .Increment();
}

void HiveMetrics::exited(ExitClass end) {
    exits_.at(static_cast<std::size_t>(end))->Increment();
}

void HiveMetrics::relay_ended(RelayEnd end, std::uint64_t bytes, double seconds) {
    in_flight_.Decrement();
    bytes_.Increment(as_number(bytes));
    relay_seconds_.Observe(seconds);
    relayed_.at(static_cast<std::size_t>(end))->Increment();
}

void HiveMetrics::health_checked(bool passed) {
    health_.at(passed ? 1 : 0)->Increment();
}

void HiveMetrics::report_sent(bool delivered) {
    reports_.at(delivered ? 1 : 0)->Increment();
}

void HiveMetrics::refresh(const std::vector<api::WorkerInfo>& workers, const Resources& resources) {
    for (const auto& [key, gauge] : workers_) {
        gauge->Set(0);
    }
    double failed_checks = 0;
    for (const api::WorkerInfo& worker : workers) {
        const std::string state(domain::to_string(worker.state));
        const std::string key = fmt::format("{}/{}/{}", state, worker.backend, worker.device);
        prometheus::Gauge*& gauge = workers_[key];
        if (gauge == nullptr) {
            gauge = &metrics_.gauge(
                "rbee_hive_workers_total",
                "Workers, by state, backend and device.",
                {{"state", state},
                 {"backend", worker.backend},
                 {"device", std::to_string(worker.device)}}
            );
        }
        gauge->Increment();
        failed_checks += worker.failed_health_checks;
    }
    failed_checks_.Set(failed_checks);
    ram_total_.Set(as_number(resources.ram_total));
    ram_available_.Set(as_number(resources.ram_available));
    disk_total_.Set(as_number(resources.disk_total));
    disk_available_.Set(as_number(resources.disk_available));
}

} // namespace rbee::hive
