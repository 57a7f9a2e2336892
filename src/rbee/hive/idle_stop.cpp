#include "rbee/hive/idle_stop.hpp"

#include "rbee/domain/keep_alive.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

/// The setting of a model under its short name or its reference.
std::optional<Duration> setting_of(const IdleSettings& settings, const api::WorkerInfo& info) {
    for (const std::string& name : {info.model, info.model_ref}) {
        if (const auto found = settings.models.find(name); found != settings.models.end()) {
            return found->second;
        }
    }
    return std::nullopt;
}

bool is_pinned(const IdleSettings& settings, const api::WorkerInfo& info) {
    return std::ranges::any_of(settings.pinned, [&info](const std::string& name) {
        return name == info.model || name == info.model_ref;
    });
}

} // namespace

IdleStop::IdleStop(Dependencies dependencies)
    : with_(dependencies), woken_(dependencies.timers),
      tasks_(dependencies.timers.executor(), telemetry::log_task_failures(dependencies.log)) {}

void IdleStop::start() {
    tasks_.start(run(), "idle_stop");
}

std::optional<TimePoint> IdleStop::due(const WorkerRegistry::Entry& entry) const {
    const Duration by_setting =
        setting_of(with_.settings, entry.info).value_or(with_.settings.keep_alive);
    return domain::idle_stop_due({
        .in_use = entry.info.state != domain::WorkerState::idle || !entry.resting(),
        .pinned = is_pinned(with_.settings, entry.info),
        .since = entry.active,
        .keep_alive = entry.keep_alive.value_or(by_setting),
    });
}

void IdleStop::changed() {
    for (const auto& [id, entry] : with_.registry.entries()) {
        if (const auto at = due(entry); at && *at < next_) {
            woken_.notify_all();
            return;
        }
    }
}

TimePoint IdleStop::look() {
    TimePoint next = TimePoint::max();
    const TimePoint now = with_.timers.clock().now();
    std::vector<std::string> ready_to_go;
    for (const auto& [id, entry] : with_.registry.entries()) {
        const auto at = due(entry);
        if (at && *at <= now) {
            ready_to_go.push_back(id);
        } else if (at) {
            next = std::min(next, *at);
        }
    }
    for (const std::string& id : ready_to_go) {
        if (const WorkerRegistry::Entry* entry = with_.registry.find(id)) {
            begin_stop(*entry);
        }
    }
    return next;
}

void IdleStop::begin_stop(const WorkerRegistry::Entry& entry) {
    const std::string id = entry.info.id;
    const auto idle_for = with_.timers.clock().now() - entry.active;
    const std::chrono::duration<double> seconds = idle_for;
    const std::string reason = fmt::format("idle for {:.0f} s", seconds.count());
    with_.log.info(
        "worker_idle_stop",
        "stopping a worker that has had no request for long enough",
        {{"worker_id", id}, {"model", entry.info.model}, {"idle_s", seconds.count()}}
    );
    // At once, in this turn of the loop: no request can be given to it any more.
    const auto noted = with_.registry.stop_requested(id, reason);
    if (noted) {
        tasks_.start(stop_worker(id, reason), "idle_stop_worker");
    }
}

asio::awaitable<void> IdleStop::stop_worker(std::string id, std::string reason) {
    const auto stopped = co_await with_.supervisor.stop(id, reason);
    if (!stopped) {
        with_.log.error("worker_idle_stop_failed", stopped.error().what, {{"worker_id", id}});
    }
}

asio::awaitable<void> IdleStop::run() {
    while (true) {
        next_ = look();
        const bool notified = co_await woken_.wait_until(next_);
        (void)notified; // the registry is looked at again in either case
    }
}

} // namespace rbee::hive
