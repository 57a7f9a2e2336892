#include "rbee/hive/health_monitor.hpp"

#include "rbee/domain/worker_state.hpp"
#include "rbee/hive/log_tail.hpp"
#include "rbee/process/log_file.hpp"
#include "rbee/process/resources.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

HealthMonitor::HealthMonitor(Dependencies dependencies)
    : with_(dependencies),
      tasks_(dependencies.timers.executor(), telemetry::log_task_failures(dependencies.log)) {}

void HealthMonitor::start() {
    tasks_.start(run(), "health_monitor");
}

asio::awaitable<void> HealthMonitor::run() {
    while (true) {
        const Machine::Snapshot there = co_await with_.machine.refresh();
        with_.metrics.refresh(with_.registry.list(), there.resources);
        co_await with_.timers.sleep_for(with_.settings.intervals.health);
        look();
        co_await bound_logs();
    }
}

asio::awaitable<void> HealthMonitor::bound_logs() {
    const WorkerSettings& how = with_.settings.worker;
    std::vector<process::LogFile> logs;
    for (const api::WorkerInfo& worker : with_.registry.list()) {
        logs.emplace_back(log_path_of(how.log_dir, worker.id), how.log_bytes_max);
    }
    co_await with_.pool.run([logs = std::move(logs)] {
        for (const process::LogFile& log : logs) {
            const auto cut = log.enforce_limit();
            (void)cut; // tried again next time
        }
    });
}

void HealthMonitor::look() {
    with_.registry.prune();
    for (const api::WorkerInfo& worker : with_.registry.list()) {
        const bool checked =
            domain::routable(worker.state) || worker.state == domain::WorkerState::unhealthy;
        if (checked) {
            tasks_.start(check(worker.id), "health_check");
        }
    }
}

asio::awaitable<void> HealthMonitor::check(std::string worker_id) {
    const WorkerRegistry::Entry* entry = with_.registry.find(worker_id);
    if (entry == nullptr || !entry->info.pid) {
        co_return;
    }
    const std::uint64_t memory =
        process::rss_bytes(static_cast<pid_t>(*entry->info.pid)).value_or(0);
    api::ApiClient client = with_.supervisor.client_for(worker_id);
    http::CallOptions options;
    options.connect_limit = with_.settings.intervals.health_limit;
    options.head_limit = with_.settings.intervals.health_limit;
    options.body_limit = with_.settings.intervals.health_limit;
    const auto answer = co_await client.call({.method = "GET", .target = "/health"}, options);
    with_.metrics.health_checked(answer.has_value());
    if (answer) {
        const auto noted = with_.registry.health_passed(worker_id, memory);
        (void)noted; // it may have gone meanwhile
        co_return;
    }
    const auto failures = with_.registry.health_failed(worker_id, answer.error().what);
    if (failures) {
        with_.log.warn(
            "health_check_failed",
            "a worker did not answer its health check",
            {{"worker_id", worker_id}, {"failures", *failures}, {"cause", answer.error().what}}
        );
    }
}

} // namespace rbee::hive
