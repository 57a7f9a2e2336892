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

#include <algorithm>
#include <chrono>
#include <csignal>
#include <vector>

namespace rbee::hive {

namespace asio = boost::asio;
using domain::WorkerState;

namespace {

constexpr std::size_t deaths_kept = 64;
/// Descriptors at which a worker finds its socket, its lifeline and its token.
constexpr int child_listen_fd = 3;
constexpr int child_lifeline_fd = 4;
constexpr int child_token_fd = 5;
/// A worker that said it has failed ends by itself; if not, it is killed after this.
constexpr Duration failed_exit_limit = std::chrono::seconds(10);

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
        return {with_.client, http::Endpoint{}, Secret()};
    }
    // The hive made the URL itself.
    return {
        with_.client,
        http::parse_endpoint(worker->url).value_or(http::Endpoint{}),
        worker->token.clone()
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

process::Command Supervisor::command_for(const Order& order, const Running& worker) const {
    const WorkerSettings& how = with_.settings.worker;
    process::Command command;
    command.program = how.binary;
    command.args = worker_arguments({
        .worker_id = worker.id,
        .model_path = order.model.path,
        .model_ref = order.model.ref.to_string(),
        .model_name = order.model.name,
        .backend = order.backend,
        .device = order.device,
        .slots = order.slots,
        .hive_url = hive_url_,
        .engine_args = order.engine_args,
        .inference_body_mb = with_.settings.http.inference_body_bytes_max >> 20U,
        .allow_remote_images = how.allow_remote_images,
        .listen_fd = child_listen_fd,
        .lifeline_fd = child_lifeline_fd,
        .token_fd = child_token_fd,
    });
    command.env = how.environment;
    return command;
}

Result<Supervisor::RunningPtr> Supervisor::launch(const Order& order) {
    const WorkerSettings& how = with_.settings.worker;
    auto listener = listen_for_worker(how.host, how.ports);
    if (!listener) {
        return error_of(listener);
    }
    auto lifeline = process::Lifeline::make();
    if (!lifeline) {
        return error_of(lifeline);
    }
    auto worker = std::make_shared<Running>(with_.timers);
    worker->token = auth::make_token();
    const auto token_end = auth::hand_over(worker->token);
    if (!token_end) {
        return error_of(token_end);
    }
    worker->id = "worker-" + make_uuid();
    const http::Endpoint endpoint{.host = how.host, .port = listener->port, .unix_path = {}};
    worker->url = endpoint.to_string();
    worker->log_path = log_path_of(how.log_dir, worker->id);
    worker->need_bytes = required_bytes(order.model.size_bytes);
    if (how.ports.first != 0 && listener->port != how.ports.first) {
        with_.log.info(
            "port_occupied",
            "an occupied port was passed over",
            {{"worker_id", worker->id}, {"port", listener->port}}
        );
    }
    const auto log = process::LogFile(worker->log_path, how.log_bytes_max).open();
    if (!log) {
        return error_of(log);
    }
    process::Command command = command_for(order, *worker);
    command.inherit = {
        {.parent_fd = listener->fd.get(), .child_fd = child_listen_fd},
        {.parent_fd = lifeline->child_end(), .child_fd = child_lifeline_fd},
        {.parent_fd = token_end->get(), .child_fd = child_token_fd},
    };
    command.log_fd = log->get();
    auto process = with_.launcher.start(command);
    if (!process) {
        Error error = process.error().within("cannot start the worker program");
        error.code = Errc::internal;
        error.wire_code = "WORKER_FAILED";
        return std::unexpected(std::move(error));
    }
    lifeline->close_child_end();
    worker->lifeline.emplace(std::move(*lifeline));
    worker->process = std::move(*process);
    return worker;
}

Result<api::WorkerInfo> Supervisor::spawn(const Order& order) {
    if (stopping_) {
        return fail(Errc::unavailable, "the hive is shutting down");
    }
    auto launched = launch(order);
    if (!launched) {
        return error_of(launched);
    }
    const RunningPtr worker = std::move(*launched);
    worker->started = with_.timers.clock().now();
    api::WorkerInfo info;
    info.id = worker->id;
    info.url = worker->url;
    info.model_ref = order.model.ref.to_string();
    info.model = order.model.name;
    info.backend = order.backend;
    info.device = order.device;
    info.slots_total = order.slots;
    info.pid = worker->process->pid();
    running_.emplace(worker->id, worker);
    with_.tokens.grant(worker_token_name(worker->id), worker->token, {auth::Scope::worker});
    with_.registry.started(info);
    with_.metrics.spawned();
    with_.log.with_correlation(order.correlation_id)
        .info(
            "worker_started",
            "worker started",
            {{"worker_id", info.id},
             {"pid", *info.pid},
             {"model", info.model},
             {"backend", info.backend},
             {"device", info.device},
             {"url", info.url}}
        );
    tasks_.start(watch(worker), "watch");
    tasks_.start(watch_load(worker), "watch_load");
    return info;
}

asio::awaitable<void> Supervisor::watch(RunningPtr worker) {
    const process::ExitStatus status = co_await worker->process->wait();
    ended(worker, status);
}

void Supervisor::ended(const RunningPtr& worker, process::ExitStatus status) {
    const WorkerRegistry::Entry* entry = with_.registry.find(worker->id);
    ExitReport report;
    report.how = worker->kill_reason.empty()
                     ? status.describe()
                     : fmt::format("{} ({})", worker->kill_reason, status.describe());
    if (entry != nullptr) {
        report.worker = entry->info;
        report.requested = !entry->stop_reason.empty();
        if (entry->info.state == WorkerState::loading && worker->kill_reason.empty()) {
            // It went without a word to us: its log holds the reason.
            const auto tail = read_tail(worker->log_path, 50);
            const std::string words = tail ? last_words(tail->text) : std::string();
            report.how = words.empty() ? report.how : fmt::format("{} ({})", words, report.how);
        }
    }
    worker->gone = true;
    worker->lifeline.reset();
    running_.erase(worker->id);
    with_.tokens.revoke(worker_token_name(worker->id));
    deaths_.emplace_back(worker->id, report.how);
    if (deaths_.size() > deaths_kept) {
        deaths_.pop_front();
    }
    const auto state = with_.registry.exited(worker->id, report.how);
    report.state = state ? *state : WorkerState::stopped;
    const bool bad = !report.requested;
    with_.metrics.exited(
        worker->forced                        ? ExitClass::forced
        : !bad                                ? ExitClass::stopped
        : report.state == WorkerState::failed ? ExitClass::failed
                                              : ExitClass::crashed
    );
    with_.log.write(
        bad ? telemetry::Level::error : telemetry::Level::info,
        "worker_exited",
        bad ? "a worker ended without being asked" : "worker stopped",
        {{"worker_id", worker->id},
         {"pid", worker->process->pid()},
         {"cause", report.how},
         {"state", domain::to_string(report.state)}}
    );
    worker->changed.notify_all();
    progress_.notify_all();
    if (observer_) {
        observer_(report);
    }
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
        } else if (now - entry->progressed > limits.load) {
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
            const std::chrono::duration<double> took = with_.timers.clock().now() - worker->started;
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
        break;
    default:
        break; // draining and the like: the hive knows, it asked for it
    }
    worker->changed.notify_all();
    progress_.notify_all();
    return done;
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
Supervisor::explain_death(std::string id, Duration limit) {
    const TimePoint due = with_.timers.clock().now() + limit;
    if (const RunningPtr worker = find(id)) {
        const bool gone = co_await gone_before(worker, due);
        if (!gone) {
            co_return std::nullopt;
        }
    }
    const auto found = std::ranges::find(deaths_, id, &std::pair<std::string, std::string>::first);
    co_return found == deaths_.end() ? std::nullopt : std::optional(found->second);
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
