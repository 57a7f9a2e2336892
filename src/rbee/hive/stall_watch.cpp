#include "rbee/hive/stall_watch.hpp"

#include "rbee/domain/worker_state.hpp"
#include "rbee/process/resources.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <chrono>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

/// A stall is seen so much later than it is one.
constexpr Duration period = std::chrono::milliseconds(200);
constexpr Duration period_without_workers = std::chrono::seconds(1);

} // namespace

StallWatch::StallWatch(Dependencies dependencies)
    : with_(dependencies),
      tasks_(dependencies.timers.executor(), telemetry::log_task_failures(dependencies.log)) {}

void StallWatch::start() {
    tasks_.start(run(), "stall_watch");
}

asio::awaitable<void> StallWatch::run() {
    while (true) {
        look();
        co_await with_.timers.sleep_for(watches_.empty() ? period_without_workers : period);
    }
}

void StallWatch::look() {
    forget_ended();
    for (const auto& [id, entry] : with_.registry.entries()) {
        if (entry.info.pid && entry.info.state != domain::WorkerState::dying) {
            look_at(entry);
        }
    }
}

void StallWatch::look_at(const WorkerRegistry::Entry& entry) {
    const auto pulse = with_.supervisor.pulse_of(entry.info.id);
    if (!pulse || !pulse->held) {
        return; // its program has not begun; that has a limit of its own
    }
    const TimePoint now = with_.timers.clock().now();
    const auto pid = static_cast<pid_t>(entry.info.pid.value_or(0));
    const bool loading = entry.info.state == domain::WorkerState::loading;
    const domain::ProgressSigns signs{
        .loading = loading,
        .steps = pulse->steps,
        .owed = pulse->busy,
        .patience = pulse->patience,
        .beats = pulse->beats,
        .in_flight = entry.in_flight,
        .load_bytes = loading ? process::rss_bytes(pid).value_or(0) : 0,
    };
    const auto [at, fresh] =
        watches_.try_emplace(Key(entry.info.id, entry.generation), now, with_.limits);
    at->second.set_limits(with_.limits); // which a reload may have changed
    if (const auto stall = at->second.look(now, signs)) {
        with_.supervisor.abort_stalled(entry.info.id, stall->describe(signs), stall->still);
    }
}

void StallWatch::forget_ended() {
    std::erase_if(watches_, [this](const auto& item) {
        const WorkerRegistry::Entry* entry = with_.registry.find(item.first.first);
        return entry == nullptr || entry->generation != item.first.second;
    });
}

} // namespace rbee::hive
