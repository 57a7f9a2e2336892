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

/// A death is noticed in well under a millisecond, a stall after its limit.
const std::vector<double> detection_buckets = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60
};

/// Label values, in the order of CrashCause and Detection.
constexpr std::array<std::string_view, 11> cause_names = {
    "clean_exit",
    "exit_code",
    "segfault",
    "abort",
    "killed",
    "other_signal",
    "out_of_memory",
    "configuration",
    "stalled",
    "loading",
    "unknown",
};
constexpr std::array<std::string_view, 2> detection_names = {"pulse", "stall"};

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
      recovery_seconds_(metrics.histogram(
          "rbee_hive_worker_recovery_seconds",
          "Time from the end of a worker until its slot was ready again.",
          seconds_buckets
      )),
      restarts_(metrics.counter(
          "rbee_hive_worker_restarts_total", "Workers that were started again after their end."
      )),
      restart_failures_(metrics.counter(
          "rbee_hive_worker_restart_failures_total",
          "Restarts that did not lead to a ready worker, or were given up."
      )),
      breaker_activations_(metrics.counter(
          "rbee_hive_circuit_breaker_activations_total",
          "How often starts of a model on a device were refused from then on."
      )),
      breakers_open_(metrics.gauge(
          "rbee_hive_circuit_breakers", "Start breakers, by state.", {{"state", "open"}}
      )),
      breakers_half_open_(metrics.gauge(
          "rbee_hive_circuit_breakers", "Start breakers, by state.", {{"state", "half_open"}}
      )),
      graceful_stops_(metrics.counter(
          "rbee_hive_workers_graceful_shutdown_total", "Workers that ended as they were asked to."
      )),
      forced_stops_(metrics.counter(
          "rbee_hive_workers_force_killed_total", "Workers that the hive ended by SIGKILL."
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
      restart_count_(metrics.gauge(
          "rbee_hive_workers_restart_count", "Restarts in a row, sum over the workers."
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
    make_crash_series();
}

void HiveMetrics::make_crash_series() {
    static_assert(cause_names.size() == crash_causes);
    for (std::size_t i = 0; i < cause_names.size(); ++i) {
        crashes_.at(i) = &metrics_.counter(
            "rbee_hive_worker_crashes_total",
            "Workers that died without being asked to stop, by cause.",
            {{"cause", std::string(cause_names.at(i))}}
        );
    }
    for (std::size_t i = 0; i < detection_names.size(); ++i) {
        detection_seconds_.at(i) = &metrics_.histogram(
            "rbee_hive_worker_death_detection_seconds",
            "Time from the kernel's sign of a worker's death, or the last progress of a hung one, "
            "until no request could be sent to it.",
            detection_buckets,
            {{"by", std::string(detection_names.at(i))}}
        );
    }
}

std::string_view to_string(CrashCause cause) {
    return cause_names.at(static_cast<std::size_t>(cause));
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
    if (end == ExitClass::stopped) {
        graceful_stops_.Increment();
    } else if (end == ExitClass::forced) {
        forced_stops_.Increment();
    }
}

void HiveMetrics::crashed(CrashCause cause) {
    crashes_.at(static_cast<std::size_t>(cause))->Increment();
}

void HiveMetrics::detected(Detection how, double seconds) {
    detection_seconds_.at(static_cast<std::size_t>(how))->Observe(seconds);
}

void HiveMetrics::breakers(std::size_t open, std::size_t half_open) {
    breakers_open_.Set(as_number(open));
    breakers_half_open_.Set(as_number(half_open));
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
    double restarts = 0;
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
        restarts += worker.restart_count;
    }
    failed_checks_.Set(failed_checks);
    restart_count_.Set(restarts);
    ram_total_.Set(as_number(resources.ram_total));
    ram_available_.Set(as_number(resources.ram_available));
    disk_total_.Set(as_number(resources.disk_total));
    disk_available_.Set(as_number(resources.disk_available));
}

} // namespace rbee::hive
