#include "rbee/hive/death_recorder.hpp"

#include "rbee/telemetry/task_failure.hpp"

#include <algorithm>
#include <csignal>
#include <optional>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;
using domain::WorkerState;

DeathRecorder::DeathRecorder(Dependencies dependencies)
    : with_(dependencies),
      store_({with_.timers, with_.log, with_.pool, with_.settings.worker.log_dir + "/postmortems"}),
      tasks_(with_.timers.executor(), telemetry::log_task_failures(with_.log)) {}

void DeathRecorder::attach(Supervisor& supervisor) {
    supervisor.set_oom_probe([this](const Supervisor::ExitReport& report) {
        return oom_evidence(report);
    });
    supervisor.on_dying([this](const std::string& id) { dying(id); });
    supervisor.on_exit([this](const Supervisor::ExitReport& report) { ended(report); });
}

void DeathRecorder::start() {
    tasks_.start(store_.load(), "load_postmortems");
    tasks_.start(keep_fresh(), "oom_watch");
}

asio::awaitable<void> DeathRecorder::stop() {
    co_await tasks_.stop();
    co_await store_.stop();
}

asio::awaitable<void> DeathRecorder::keep_fresh() {
    while (true) {
        co_await with_.timers.sleep_for(freshness);
        oom_.refresh();
    }
}

std::string DeathRecorder::oom_evidence(const Supervisor::ExitReport& report) {
    const bool by_kernel = report.status.signal == SIGKILL && !report.forced;
    if (!by_kernel || !report.worker.pid) {
        return {};
    }
    return oom_.evidence(static_cast<pid_t>(*report.worker.pid)).value_or("");
}

void DeathRecorder::dying(const std::string& id) {
    const WorkerRegistry::Entry* entry = with_.registry.find(id);
    if (entry == nullptr) {
        return;
    }
    std::vector<std::string>& requests = requests_[id];
    for (const auto& [key, request] : entry->requests.by_deadline()) {
        requests.push_back(request);
    }
}

Postmortem::Outlook DeathRecorder::outlook(const std::string& id) const {
    Postmortem::Outlook next;
    const WorkerRegistry::Entry* entry = with_.registry.find(id);
    if (entry == nullptr) {
        return next;
    }
    const api::WorkerInfo& worker = entry->info;
    next.state = worker.state;
    next.reason = worker.reason;
    next.next_restart = worker.next_restart;
    next.attempt = worker.restart_count + (worker.next_restart ? 1 : 0);
    next.attempts_max =
        with_.settings.restart.of(worker.model_ref, worker.model).restart.attempts_max;
    return next;
}

void DeathRecorder::ended(Supervisor::ExitReport report) {
    const std::string id = report.worker.id;
    if (const auto noticed = requests_.extract(id); !noticed.empty()) {
        report.requests = std::move(noticed.mapped());
    }
    if (report.requested) {
        down_since_.erase(id);
        return;
    }
    if (report.worker.pid.value_or(0) == 0) {
        return; // it ended under a former hive, which has told of it
    }
    with_.metrics.crashed(crash_cause(report));
    if (report.worker.restart_count > 0 && !report.ready) {
        with_.metrics.restart_failed();
    }
    down_since_.try_emplace(id, report.dying.value_or(report.died));
    Postmortem death;
    death.next = outlook(id);
    death.died_at = with_.timers.clock().wall();
    death.report = std::move(report);
    const std::string line = summary_of(death);
    const auto shown = with_.registry.describe_exit(id, line);
    (void)shown; // nobody lists it any more
    const std::string name = store_.record(std::move(death));
    with_.log.info("postmortem", line, {{"worker_id", id}, {"postmortem", name}});
}

void DeathRecorder::look() {
    std::erase_if(down_since_, [this](const auto& item) {
        const WorkerRegistry::Entry* entry = with_.registry.find(item.first);
        const bool back = entry != nullptr && domain::routable(entry->info.state);
        if (back) {
            const std::chrono::duration<double> took = with_.timers.clock().now() - item.second;
            with_.metrics.recovered(took.count());
        }
        return back || entry == nullptr || entry->info.state == WorkerState::failed;
    });
}

} // namespace rbee::hive
