#include "rbee/hive/hive_metrics.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rbee::hive {
namespace {

class HiveMetricsTest : public testing::Test {
protected:
    void expect(const std::string& line) const {
        const std::string text = registry_.text();
        EXPECT_NE(text.find(line + "\n"), std::string::npos) << line << " in\n" << text;
    }

    telemetry::Metrics registry_;
    HiveMetrics metrics_{registry_};
};

TEST_F(HiveMetricsTest, SeriesOfRestartsAreThereBeforeAnythingHappens) {
    expect("rbee_hive_worker_restarts_total 0");
    expect("rbee_hive_worker_restart_failures_total 0");
    expect("rbee_hive_circuit_breaker_activations_total 0");
    expect("rbee_hive_circuit_breakers{state=\"open\"} 0");
    expect("rbee_hive_worker_crashes_total{cause=\"out_of_memory\"} 0");
    expect("rbee_hive_worker_death_detection_seconds_count{by=\"pulse\"} 0");
    expect("rbee_hive_worker_recovery_seconds_count 0");
}

TEST_F(HiveMetricsTest, CountTheLivesOfWorkers) {
    metrics_.restarted();
    metrics_.restart_failed();
    metrics_.breaker_activated();
    metrics_.breakers(2, 1);
    metrics_.crashed(CrashCause::segfault);
    metrics_.crashed(CrashCause::unknown);
    metrics_.detected(Detection::stall, 10.2);
    metrics_.recovered(1.5);
    expect("rbee_hive_worker_restarts_total 1");
    expect("rbee_hive_worker_restart_failures_total 1");
    expect("rbee_hive_circuit_breaker_activations_total 1");
    expect("rbee_hive_circuit_breakers{state=\"open\"} 2");
    expect("rbee_hive_circuit_breakers{state=\"half_open\"} 1");
    expect("rbee_hive_worker_crashes_total{cause=\"segfault\"} 1");
    expect("rbee_hive_worker_crashes_total{cause=\"unknown\"} 1");
    expect("rbee_hive_worker_death_detection_seconds_bucket{by=\"stall\",le=\"10\"} 0");
    expect("rbee_hive_worker_death_detection_seconds_bucket{by=\"stall\",le=\"30\"} 1");
    expect("rbee_hive_worker_death_detection_seconds_count{by=\"pulse\"} 0");
    expect("rbee_hive_worker_recovery_seconds_sum 1.5");
}

TEST_F(HiveMetricsTest, StopsAreGracefulOrForced) {
    metrics_.exited(ExitClass::stopped);
    metrics_.exited(ExitClass::stopped);
    metrics_.exited(ExitClass::forced);
    metrics_.exited(ExitClass::crashed);
    expect("rbee_hive_workers_graceful_shutdown_total 2");
    expect("rbee_hive_workers_force_killed_total 1");
    expect("rbee_hive_worker_exits_total{class=\"crashed\"} 1");
}

TEST_F(HiveMetricsTest, GaugesShowTheStatesOfNow) {
    api::WorkerInfo worker;
    worker.backend = "cpu";
    worker.state = domain::WorkerState::backoff;
    worker.restart_count = 2;
    metrics_.refresh({worker, worker}, {});
    expect("rbee_hive_workers_total{backend=\"cpu\",device=\"0\",state=\"backoff\"} 2");
    expect("rbee_hive_workers_restart_count 4");
    metrics_.refresh({}, {});
    expect("rbee_hive_workers_total{backend=\"cpu\",device=\"0\",state=\"backoff\"} 0");
    expect("rbee_hive_workers_restart_count 0");
}

} // namespace
} // namespace rbee::hive
