#include "rbee/hive/supervisor.hpp"

#include "rbee/auth/token.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/base/ids.hpp"
#include "rbee/hive/log_tail.hpp"
#include "rbee/hive/preflight.hpp"
#include "rbee/hive/supervisor_running.hpp"
#include "rbee/hive/worker_command.hpp"
#include "rbee/process/log_file.hpp"
#include "rbee/process/resources.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <vector>

namespace rbee::hive {

namespace asio = boost::asio;
using domain::WorkerState;

namespace {

constexpr std::size_t deaths_kept = 64;
/// A worker that said it has failed ends by itself; if not, it is killed after this.
constexpr Duration failed_exit_limit = std::chrono::seconds(10);

/// What a process said last in its part of the log; empty when it said nothing.
std::string words_of(const std::string& path, std::uint64_t from) {
    constexpr std::size_t lines = 50;
    const auto tail = read_tail(path, lines);
    if (!tail || from >= tail->next) {
        return {}; // the log was cut since, or nothing came
    }
    const std::uint64_t own = tail->next - from;
    std::string_view text = tail->text;
    text.remove_prefix(text.size() - std::min<std::uint64_t>(text.size(), own));
    return last_words(text);
}

} // namespace

Supervisor::Supervisor(Dependencies dependencies)
    : with_(dependencies), progress_(dependencies.timers),
      tasks_(dependencies.timers.executor(), telemetry::log_task_failures(dependencies.log)) {}

std::string worker_token_name(std::string_view worker_id) {
    return fmt::format("worker:{}", worker_id);
}

Error worker_misconfigured(std::string_view worker_id) {
    return {
        Errc::io,
        fmt::format("worker {} refuses the token of its hive", worker_id),
        "WORKER_MISCONFIGURED"
    };
}

api::ApiClient Supervisor::client_for(std::string_view id) {
    const RunningPtr worker = find(id);
    if (!worker) {
        return {with_.client, http::Endpoint{}, nullptr};
    }
    // The hive made the URL itself.
    return {
        with_.client, http::parse_endpoint(worker->url).value_or(http::Endpoint{}), worker->token
    };
}

void Supervisor::note_refusal(std::string_view id) {
    const WorkerRegistry::Entry* entry = with_.registry.find(id);
    if (entry == nullptr || entry->misconfigured) {
        return;
    }
    with_.log.error(
        "worker_misconfigured",
        "a worker refuses the token that it was given; it gets no more requests",
        {{"worker_id", entry->info.id}}
    );
    const auto noted = with_.registry.misconfigured(id);
    (void)noted; // it is on its way out already
}

asio::awaitable<void> Supervisor::watch(RunningPtr worker) {
    const process::ExitStatus status = co_await worker->process->wait();
    ended(worker, status);
}

Supervisor::ExitReport
Supervisor::report_of(const Running& worker, process::ExitStatus status) const {
    ExitReport report;
    report.status = status;
    report.how = worker.kill_reason.empty()
                     ? status.describe()
                     : fmt::format("{} ({})", worker.kill_reason, status.describe());
    report.stalled = worker.stalled;
    report.forced = worker.forced;
    report.generation = worker.generation;
    report.started = worker.started;
    report.ready = worker.ready;
    report.dying = worker.dying;
    report.died = with_.timers.clock().now();
    report.log_path = worker.log_path;
    report.log_from = worker.log_from;
    if (worker.pulse) {
        report.pulse = worker.pulse->read();
    }
    const WorkerRegistry::Entry* entry = with_.registry.find(worker.id);
    if (entry == nullptr) {
        return report;
    }
    report.worker = entry->info;
    report.requested = !entry->stop_reason.empty();
    for (const auto& [key, request] : entry->requests.by_deadline()) {
        report.requests.push_back(request);
    }
    if (!worker.ready && worker.kill_reason.empty() && !worker.cannot_load) {
        // It went without a word to us: its log holds the reason.
        const std::string words = words_of(worker.log_path, worker.log_from);
        report.how = words.empty() ? report.how : fmt::format("{} ({})", words, report.how);
    }
    return report;
}

void Supervisor::ended(const RunningPtr& worker, process::ExitStatus status) {
    ExitReport report = report_of(*worker, status);
    if (!report.requested) { // a limit of its own says more than what the machine counts
        report.oom_evidence = with_.launcher.memory_verdict(worker->process->pid()).value_or("");
    }
    if (report.oom_evidence.empty() && oom_probe_ && !report.requested) {
        report.oom_evidence = oom_probe_(report);
    }
    if (!report.oom_evidence.empty()) {
        report.how = fmt::format("out of memory: {} ({})", report.oom_evidence, report.how);
    }
    // The worker could not load its model because memory was short, and said so.
    const bool was_short = report.pulse && report.pulse->fatal_code == EX_OSERR;
    report.kind = domain::classify_exit(
        {.code = status.code,
         .signal = status.signal,
         .requested = report.requested,
         .out_of_memory = !report.oom_evidence.empty() || was_short,
         .cannot_load = worker->cannot_load,
         .stalled = worker->stalled}
    );
    worker->gone = true;
    worker->lifeline.reset();
    running_.erase(worker->id);
    with_.tokens.revoke(worker_token_name(worker->id));
    deaths_.push_back({worker->id, worker->generation, report.how});
    if (deaths_.size() > deaths_kept) {
        deaths_.pop_front();
    }
    const auto state = with_.registry.exited(worker->id, report.how);
    report.state = state ? *state : WorkerState::stopped;
    tell_exit(report);
    worker->changed.notify_all();
    progress_.notify_all();
    for (const auto& observer : exit_observers_) {
        observer(report);
    }
    drop_old_orders();
}

void Supervisor::tell_exit(const ExitReport& report) {
    const bool bad = !report.requested;
    with_.metrics.exited(
        report.forced ? ExitClass::forced
        : !bad        ? ExitClass::stopped
        : report.kind == domain::ExitKind::configuration || report.state == WorkerState::failed
            ? ExitClass::failed
            : ExitClass::crashed
    );
    with_.log.write(
        bad ? telemetry::Level::error : telemetry::Level::info,
        "worker_exited",
        bad ? "a worker ended without being asked" : "worker stopped",
        {{"worker_id", report.worker.id},
         {"pid", report.worker.pid.value_or(0)},
         {"cause", report.how},
         {"kind", domain::to_string(report.kind)},
         {"state", domain::to_string(report.state)}}
    );
}

bool Supervisor::shows_signs(const Running& worker) {
    return worker.pulse && worker.pulse->read().held;
}

asio::awaitable<void> Supervisor::watch_load(RunningPtr worker) {
    const LifeLimits& limits = with_.settings.life;
    while (!worker->gone) {
        const WorkerRegistry::Entry* entry = with_.registry.find(worker->id);
        if (entry == nullptr) {
            co_return;
        }
        const TimePoint now = with_.timers.clock().now();
        if (entry->info.state == WorkerState::failed) {
            const bool overdue = entry->ended && now - *entry->ended > failed_exit_limit;
            if (overdue) {
                kill(*worker, "did not exit after its failure");
                co_return;
            }
        } else if (entry->info.state != WorkerState::loading) {
            co_return;
        } else if (!entry->called_back && now - entry->started > limits.callback) {
            kill(
                *worker,
                fmt::format(
                    "LOADING_TIMEOUT: no report within {} s of its start",
                    std::chrono::duration_cast<std::chrono::seconds>(limits.callback).count()
                )
            );
            co_return;
        } else if (now - entry->progressed > limits.load && !shows_signs(*worker)) {
            kill(
                *worker,
                fmt::format(
                    "LOADING_TIMEOUT: stuck at {:.0f} % for {} s; see its log",
                    entry->info.load_fraction * 100,
                    std::chrono::duration_cast<std::chrono::seconds>(limits.load).count()
                )
            );
            co_return;
        }
        const bool notified =
            co_await worker->changed.wait_until(now + with_.settings.intervals.load_check);
        (void)notified; // whatever woke us, the registry is looked at again
    }
}

Result<void> Supervisor::report(const api::ReadyNotice& notice) {
    const RunningPtr worker = find(notice.worker_id);
    if (!worker) {
        return fail(Errc::not_found, "there is no such worker on this hive", "WORKER_NOT_FOUND");
    }
    Result<void> done;
    switch (notice.state) {
    case WorkerState::loading:
        done = with_.registry.called_back(notice.worker_id);
        if (done && !std::exchange(worker->followed, true)) {
            tasks_.start(follow_progress(worker), "follow_progress");
        }
        break;
    case WorkerState::idle:
    case WorkerState::busy: {
        const WorkerRegistry::Entry* entry = with_.registry.find(notice.worker_id);
        const bool first = entry != nullptr && entry->info.state == WorkerState::loading;
        done = with_.registry.became_ready(notice.worker_id, notice.slots_total);
        if (done) { // shown at once, not only after the first health check
            const auto pid = static_cast<pid_t>(worker->process->pid());
            done =
                with_.registry.health_passed(notice.worker_id, process::rss_bytes(pid).value_or(0));
        }
        if (done && first) {
            now_ready(*worker);
            const std::chrono::duration<double> took = *worker->ready - worker->started;
            with_.metrics.loaded(took.count());
            with_.log.info(
                "worker_ready",
                "worker is ready",
                {{"worker_id", worker->id}, {"seconds", took.count()}}
            );
        }
        break;
    }
    case WorkerState::failed:
        done = with_.registry.load_failed(notice.worker_id, notice.reason);
        worker->cannot_load = worker->cannot_load || done.has_value();
        break;
    default:
        break; // draining and the like: the hive knows, it asked for it
    }
    worker->changed.notify_all();
    progress_.notify_all();
    return done;
}

void Supervisor::now_ready(Running& worker) {
    worker.ready = with_.timers.clock().now();
    for (const auto& observer : ready_observers_) {
        observer(worker.id);
    }
}

asio::awaitable<bool> Supervisor::ready_or_gone(std::string id) {
    const RunningPtr worker = find(id);
    while (worker && !worker->gone && !worker->ready) {
        co_await worker->changed.wait();
    }
    co_return worker && !worker->gone;
}

asio::awaitable<Result<void>> Supervisor::settled(std::string id, Duration limit) {
    const TimePoint due = with_.timers.clock().now() + limit;
    const RunningPtr worker = find(id);
    while (worker && !worker->gone) {
        const WorkerRegistry::Entry* entry = with_.registry.find(id);
        if (entry == nullptr || entry->called_back) {
            co_return Result<void>();
        }
        const bool notified = co_await worker->changed.wait_until(due);
        if (!notified) {
            co_return Result<void>();
        }
    }
    const WorkerRegistry::Entry* entry = with_.registry.find(id);
    if (entry == nullptr || entry->stop_reason.empty()) {
        const std::string why = entry == nullptr ? "it is gone" : entry->info.reason;
        co_return fail(
            Errc::internal, fmt::format("the worker ended at once: {}", why), "WORKER_FAILED"
        );
    }
    co_return Result<void>();
}

asio::awaitable<std::optional<std::string>>
Supervisor::explain_death(std::string id, std::uint64_t generation, Duration limit) {
    const TimePoint due = with_.timers.clock().now() + limit;
    if (const RunningPtr worker = find(id); worker && worker->generation == generation) {
        const bool gone = co_await gone_before(worker, due);
        if (!gone) {
            co_return worker->dying ? std::optional<std::string>("the kernel is ending its process")
                                    : std::nullopt;
        }
    }
    const auto found = std::ranges::find_if(deaths_, [&](const Death& death) {
        return death.id == id && death.generation == generation;
    });
    co_return found == deaths_.end() ? std::nullopt : std::optional(found->how);
}

std::uint64_t Supervisor::pending_bytes() const {
    std::uint64_t pending = 0;
    for (const auto& [id, worker] : running_) {
        const WorkerRegistry::Entry* entry = with_.registry.find(id);
        if (entry != nullptr && entry->info.state == WorkerState::loading) {
            const std::uint64_t taken =
                process::rss_bytes(static_cast<pid_t>(worker->process->pid())).value_or(0);
            pending += worker->need_bytes - std::min(worker->need_bytes, taken);
        }
    }
    return pending;
}

Supervisor::RunningPtr Supervisor::find(std::string_view id) const {
    const auto found = running_.find(id);
    return found == running_.end() ? nullptr : found->second;
}

} // namespace rbee::hive
