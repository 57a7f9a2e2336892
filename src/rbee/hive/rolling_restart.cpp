#include "rbee/hive/rolling_restart.hpp"

#include "rbee/telemetry/task_failure.hpp"

#include <fmt/format.h>

#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

std::unexpected<Refusal> refused(Error error) {
    return std::unexpected(Refusal{std::move(error), {}});
}

} // namespace

RollingRestart::RollingRestart(Dependencies dependencies)
    : with_(std::move(dependencies)),
      tasks_(with_.executor, telemetry::log_task_failures(with_.log)) {}

asio::awaitable<Checked<RollingRestart::Begun>>
RollingRestart::begin(std::string id, std::string correlation_id) {
    const WorkerRegistry::Entry* entry = with_.registry.find(id);
    const Supervisor::Order* known = with_.supervisor.order_of(id);
    if (entry == nullptr || known == nullptr) {
        co_return refused(
            {Errc::not_found, "there is no such worker on this hive", "WORKER_NOT_FOUND"}
        );
    }
    if (!entry->stop_reason.empty() || going_on_.contains(id)) {
        co_return refused(
            {Errc::conflict, fmt::format("worker {} is being stopped or restarted already", id), {}}
        );
    }
    if (!entry->info.pid) {
        const auto started = with_.restarter.restart_now(id);
        if (!started) {
            co_return refused(started.error());
        }
        co_return Begun{.worker_id = id, .replaces = {}, .note = {}};
    }
    Supervisor::Order order = *known;
    order.correlation_id = std::move(correlation_id);
    with_.gate.close(order);
    going_on_.insert(id);
    auto begun = co_await roll(id, std::move(order));
    if (!begun) {
        going_on_.erase(id);
    }
    co_return begun;
}

asio::awaitable<Checked<RollingRestart::Begun>>
RollingRestart::roll(std::string id, Supervisor::Order order) {
    const auto fresh = co_await with_.spawner.spawn_like(std::move(order));
    if (fresh) {
        tasks_.start(replace(id, fresh->id), "replace");
        co_return Begun{.worker_id = fresh->id, .replaces = id, .note = {}};
    }
    const Error& error = fresh.error().error;
    if (error.code != Errc::resources) {
        co_return std::unexpected(fresh.error());
    }
    with_.log.info(
        "restart_in_place",
        "no room for two: the worker is stopped first",
        {{"worker_id", id}, {"cause", error.what}}
    );
    tasks_.start(in_place(id), "in_place");
    co_return Begun{.worker_id = id, .replaces = {}, .note = error.what};
}

asio::awaitable<void> RollingRestart::replace(std::string old_id, std::string new_id) {
    const bool ready = co_await with_.supervisor.ready_or_gone(new_id);
    const std::string goes = ready ? old_id : new_id;
    if (!ready) {
        with_.log.error(
            "restart_failed",
            "the worker that should replace another does not come up; the old one stays",
            {{"worker_id", old_id}, {"new_worker_id", new_id}}
        );
    }
    const auto stopped = co_await with_.supervisor.stop(
        goes, ready ? fmt::format("replaced by {}", new_id) : "it should have replaced another"
    );
    if (!stopped) {
        with_.log.error("restart_failed", stopped.error().what, {{"worker_id", goes}});
    }
    going_on_.erase(old_id);
}

asio::awaitable<void> RollingRestart::in_place(std::string id) {
    const auto stopped = co_await with_.supervisor.stop_for_restart(id, "a restart was asked for");
    const auto started =
        stopped ? with_.restarter.restart_now(id) : Result<api::WorkerInfo>(error_of(stopped));
    if (!started) {
        with_.log.error("restart_failed", started.error().what, {{"worker_id", id}});
    }
    going_on_.erase(id);
}

} // namespace rbee::hive
