// The part of the supervisor that talks to running workers: loading progress and stopping.
#include "rbee/api/json.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/supervisor_running.hpp"
#include "rbee/http/sse.hpp"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

/// After SIGKILL a process goes at once, unless the kernel holds it.
constexpr Duration kill_limit = std::chrono::seconds(5);
/// For writing the core after SIGABRT.
constexpr Duration core_limit = std::chrono::seconds(5);

/// A field that is a number, or nothing.
std::optional<double> number_of(const boost::json::object& object, std::string_view name) {
    return api::get_number(object, name).value_or(std::nullopt);
}

/// The fraction that an event of /v1/loading/progress tells, or less than 0.
double fraction_of(std::string_view data) {
    const auto object = api::parse_object(data);
    if (!object) {
        return -1;
    }
    for (const std::string_view name : {"fraction", "progress", "load_fraction"}) {
        if (const auto value = number_of(*object, name)) {
            return *value;
        }
    }
    const auto loaded = number_of(*object, "layers_loaded");
    const auto total = number_of(*object, "layers_total");
    return loaded && total && *total > 0 ? *loaded / *total : -1;
}

} // namespace

asio::awaitable<void> Supervisor::follow_progress(RunningPtr worker) {
    api::ApiClient client = client_for(worker->id);
    http::ClientRequest request;
    request.target = "/v1/loading/progress";
    http::CallOptions options;
    // The worker sends a sign of life every 10 s.
    options.body_limit = std::chrono::seconds(60);
    auto stream = co_await client.open(std::move(request), options);
    if (stream && (*stream)->head().status == 401) {
        note_refusal(worker->id);
    }
    if (!stream || (*stream)->head().status != 200) {
        co_return; // loaded already, or its end is noticed elsewhere
    }
    http::SseReader reader;
    while (!worker->gone) {
        const auto bytes = co_await (*stream)->next();
        if (!bytes || bytes->empty()) {
            co_return;
        }
        for (const http::SseEvent& event : reader.feed(*bytes)) {
            const double fraction = fraction_of(event.data);
            if (fraction >= 0) {
                const auto noted = with_.registry.load_progressed(worker->id, fraction);
                (void)noted; // refused once it no longer loads
            }
        }
    }
}

void Supervisor::kill(Running& worker, const std::string& reason) {
    if (worker.gone) {
        return;
    }
    worker.forced = true;
    if (worker.kill_reason.empty()) {
        worker.kill_reason = reason;
    }
    with_.log.warn(
        "worker_force_killed",
        "worker force-killed",
        {{"worker_id", worker.id},
         {"pid", worker.process->pid()},
         {"reason", reason},
         {"signal", "SIGKILL"}}
    );
    worker.process->send(SIGKILL);
}

void Supervisor::note_dying(std::string_view id, std::int64_t pid) {
    const RunningPtr worker = find(id);
    if (!worker || worker->gone || worker->dying || worker->process->pid() != pid) {
        return;
    }
    worker->dying = with_.timers.clock().now();
    const auto noted = with_.registry.dying(id, "the kernel is ending its process");
    (void)noted; // one that has failed takes no requests anyway
    if (!worker->stopping) {
        const std::chrono::duration<double> lag = worker->death_watch.lag();
        with_.metrics.detected(Detection::pulse, lag.count());
    }
    with_.log.write(
        worker->stopping ? telemetry::Level::debug : telemetry::Level::warn,
        "worker_dying",
        "the process of a worker is being taken apart; it gets no more requests",
        {{"worker_id", worker->id}, {"pid", pid}}
    );
    worker->changed.notify_all();
    for (const auto& observer : dying_observers_) {
        observer(worker->id);
    }
}

void Supervisor::abort_stalled(std::string_view id, const std::string& reason, Duration still) {
    const RunningPtr worker = find(id);
    if (!worker || worker->gone || std::exchange(worker->stalled, true)) {
        return;
    }
    worker->kill_reason = reason;
    const auto noted = with_.registry.dying(id, reason);
    (void)noted; // one that is on its way out takes no requests anyway
    if (still > Duration::zero()) {
        with_.metrics.detected(Detection::stall, std::chrono::duration<double>(still).count());
    }
    with_.log.error(
        "worker_stalled",
        "a worker does not get on; it is aborted",
        {{"worker_id", worker->id}, {"pid", worker->process->pid()}, {"reason", reason}}
    );
    worker->process->send(SIGABRT);
    worker->process->send(SIGCONT); // one that was stopped would not hear the other before
    tasks_.start(kill_after_abort(worker), "kill_after_abort");
}

asio::awaitable<void> Supervisor::kill_after_abort(RunningPtr worker) {
    const bool gone = co_await gone_before(worker, with_.timers.clock().now() + core_limit);
    if (!gone) {
        kill(*worker, worker->kill_reason);
    }
}

asio::awaitable<bool> Supervisor::gone_before(RunningPtr worker, TimePoint due) {
    while (!worker->gone) {
        const bool notified = co_await worker->changed.wait_until(due);
        if (!notified) {
            break;
        }
    }
    co_return worker->gone;
}

asio::awaitable<bool> Supervisor::ask_to_stop(RunningPtr worker) {
    const WorkerRegistry::Entry* entry = with_.registry.find(worker->id);
    if (entry == nullptr || !entry->called_back) {
        // It does not serve yet, so it cannot hear the request.
        worker->process->send(SIGTERM);
        co_return false;
    }
    api::ApiClient client = client_for(worker->id);
    http::CallOptions options;
    options.connect_limit = with_.settings.life.stop_ack;
    options.head_limit = with_.settings.life.stop_ack;
    options.body_limit = with_.settings.life.stop_ack;
    api::ApiClient::Request request{.method = "POST", .target = "/v1/admin/shutdown"};
    const auto answer = co_await client.call(std::move(request), options);
    if (!answer) {
        with_.log.warn(
            "worker_stop_unanswered",
            "a worker did not accept its shutdown request",
            {{"worker_id", worker->id}, {"cause", answer.error().what}}
        );
        if (answer.error().code == Errc::unauthenticated) {
            worker->process->send(SIGTERM); // it will never accept; this it hears
        }
    }
    co_return answer.has_value();
}

asio::awaitable<void> Supervisor::run_stop(RunningPtr worker) {
    const LifeLimits& limits = with_.settings.life;
    const TimePoint begun = with_.timers.clock().now();
    const bool acked = co_await ask_to_stop(worker);
    if (!acked) {
        const bool gone = co_await gone_before(worker, begun + limits.stop_term);
        if (gone) {
            co_return;
        }
        worker->process->send(SIGTERM);
    }
    // Who accepted may use the whole time for its running requests.
    const bool gone =
        co_await gone_before(worker, begun + (acked ? limits.stop_total : limits.stop_kill));
    if (!gone) {
        kill(
            *worker,
            acked ? "still draining at the end of its time"
                  : "did not react to the shutdown request"
        );
    }
}

void Supervisor::begin_stop(const RunningPtr& worker) {
    if (!std::exchange(worker->stopping, true)) {
        tasks_.start(run_stop(worker), "stop");
    }
}

asio::awaitable<Result<void>> Supervisor::stop(std::string id, std::string reason) {
    const RunningPtr worker = find(id);
    if (!worker) {
        const WorkerRegistry::Entry* entry = with_.registry.find(id);
        if (entry != nullptr && entry->info.state == domain::WorkerState::backoff) {
            with_.log.info("worker_dropped", reason, {{"worker_id", id}});
            const auto gone = with_.registry.remove(id);
            (void)gone; // it has no process
            drop_old_orders();
        }
        co_return Result<void>();
    }
    // Also takes back that it was to come back.
    const auto noted = with_.registry.stop_requested(id, reason);
    (void)noted; // a worker that has failed already is stopped all the same
    begin_stop(worker);
    co_return co_await await_end(worker);
}

asio::awaitable<Result<void>> Supervisor::stop_for_restart(std::string id, std::string reason) {
    const RunningPtr worker = find(id);
    if (!worker) {
        co_return fail(Errc::conflict, "the worker has no process");
    }
    const auto noted = with_.registry.restart_requested(id, reason);
    if (!noted) {
        co_return noted;
    }
    begin_stop(worker);
    co_return co_await await_end(worker);
}

asio::awaitable<Result<void>> Supervisor::await_end(RunningPtr worker) {
    const TimePoint due = with_.timers.clock().now() + with_.settings.life.stop_total + kill_limit;
    const bool gone = co_await gone_before(worker, due);
    if (!gone) {
        co_return fail(Errc::timeout, "the worker's process does not end");
    }
    co_return Result<void>();
}

asio::awaitable<void> Supervisor::stop_all(std::string reason) {
    stopping_ = true;
    const std::size_t total = running_.size();
    const TimePoint begun = with_.timers.clock().now();
    with_.log.info("shutdown_workers", "stopping the workers", {{"workers", total}});
    for (const auto& [id, worker] : std::map(running_)) {
        const auto noted = with_.registry.stop_requested(id, reason);
        (void)noted; // a worker that has failed already is stopped all the same
        begin_stop(worker);
    }
    if (hurried_) {
        hurry();
    }
    const TimePoint due = begun + with_.settings.life.stop_total + kill_limit;
    std::size_t told = 0;
    while (told < total) {
        const std::size_t stopped = total - running_.size();
        if (stopped > told) {
            ++told;
            with_.log.info("shutdown_progress", fmt::format("{}/{} workers stopped", told, total));
            continue;
        }
        const bool notified = co_await progress_.wait_until(due);
        if (!notified) {
            with_.log.error(
                "shutdown_incomplete",
                "processes of workers do not end",
                {{"left", running_.size()}}
            );
            break;
        }
    }
    const std::chrono::duration<double> took = with_.timers.clock().now() - begun;
    with_.metrics.shut_down(took.count());
    with_.log.info(
        "shutdown_workers_done", "all workers have stopped", {{"seconds", took.count()}}
    );
}

void Supervisor::hurry() {
    hurried_ = true;
    for (const auto& [id, worker] : running_) {
        kill(*worker, "the hive was told to stop at once");
    }
}

} // namespace rbee::hive
