#include "rbee/api/json.hpp"
#include "rbee/api/types.hpp"
#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/dispatcher_parts.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

/// Workers on demand: started for requests whose model nobody serves.
namespace rbee::queen {

namespace asio = boost::asio;

namespace {

/// The hive gives a worker 5 minutes to load; a little more, so that its answer comes first.
constexpr Duration load_max = std::chrono::seconds(330);
/// A new worker must show up in the hive's reports within this.
constexpr Duration appear_max = std::chrono::seconds(20);
/// How often a hive is asked while somebody waits for its worker.
constexpr Duration ask_every = std::chrono::seconds(1);
/// A hive that would not start a worker, without saying until when.
constexpr Duration refused_for = std::chrono::seconds(5);

/// For how long the one who refused says that there is no use in asking.
Duration told_to_wait(const Error& error) {
    const auto details = api::parse_object(error.details);
    if (!details) {
        return refused_for;
    }
    const auto seconds = api::get_unsigned(*details, "retry_after_s");
    const std::optional<std::uint64_t> value = seconds.value_or(std::nullopt);
    return value ? Duration(std::chrono::seconds(*value)) : refused_for;
}

} // namespace

void Dispatcher::ensure_worker(const domain::Wanted& wanted, const std::string& correlation_id) {
    for (const auto& spawn : spawns_) {
        if (std::ranges::find(spawn->wanted, wanted) != spawn->wanted.end()) {
            return;
        }
    }
    auto plan = fleet_.plan_spawn(wanted);
    if (!plan) {
        fail_waiters(wanted, plan.error());
        return;
    }
    for (const auto& spawn : spawns_) {
        const bool there = wanted.hive.empty() || wanted.hive == spawn->plan.hive;
        if (there && spawn->plan.model_ref == plan->model_ref) {
            spawn->wanted.push_back(wanted);
            return;
        }
    }
    auto spawn = std::make_shared<Spawn>(Spawn{std::move(*plan), {wanted}, correlation_id, {}});
    spawns_.push_back(spawn);
    log_.with_correlation(correlation_id)
        .info(
            "worker_spawn",
            "no worker serves this model: starting one",
            {{"hive", spawn->plan.hive}, {"model_ref", spawn->plan.model_ref}}
        );
    tasks_.start(run_spawn(spawn), "spawn");
}

asio::awaitable<void> Dispatcher::run_spawn(std::shared_ptr<Spawn> spawn) {
    auto outcome = co_await ask_for_worker(spawn);
    if (outcome) {
        outcome = co_await await_ready(spawn);
    }
    finish_spawn(spawn, outcome);
}

asio::awaitable<Result<void>> Dispatcher::ask_for_worker(std::shared_ptr<Spawn> spawn) {
    const Hive* hive = fleet_.find_hive(spawn->plan.hive);
    if (hive == nullptr) {
        co_return fail(Errc::unavailable, "the hive was removed", "HIVE_UNAVAILABLE");
    }
    api::SpawnRequest wish;
    wish.model_ref = spawn->plan.model_ref;
    api::ApiClient::Request request;
    request.method = "POST";
    request.target = "/v1/workers/spawn";
    request.body = api::to_json(wish);
    request.correlation_id = spawn->correlation_id;
    const http::CallOptions limits;
    const auto answer = co_await hives_.call(hive->endpoint, std::move(request), limits);
    if (!answer) {
        if (answer.error().code == Errc::unavailable && answer.error().wire_code.empty()) {
            fleet_.unreachable(spawn->plan.hive, answer.error().what);
        }
        co_return error_of(answer);
    }
    auto id = api::require_string(*answer, "worker_id");
    if (!id) {
        co_return error_of(id);
    }
    spawn->worker_id = std::move(*id);
    co_return Result<void>();
}

asio::awaitable<Result<void>> Dispatcher::await_ready(std::shared_ptr<Spawn> spawn) {
    const TimePoint started = timers_.clock().now();
    bool seen = false;
    while (true) {
        const TimePoint now = timers_.clock().now();
        const auto worker = fleet_.find_worker(spawn->worker_id);
        const auto state = worker ? worker->state() : domain::WorkerState::stopped;
        if (worker && domain::routable(state)) {
            co_return Result<void>();
        }
        seen = seen || worker;
        // One that its hive starts again is no longer ours to wait for: it is in the fleet.
        const bool ended = state == domain::WorkerState::dying || !domain::alive(state);
        if ((worker && ended) || (seen && !worker)) {
            const std::string why = worker && !worker->info.reason.empty()
                                        ? worker->info.reason
                                        : "it ended before it was ready";
            co_return fail(
                Errc::unavailable, "the worker for this model failed: " + why, "WORKER_FAILED"
            );
        }
        if (now - started > (seen ? load_max : appear_max)) {
            co_return fail(
                Errc::unavailable, "the worker did not become ready in time", "LOADING_TIMEOUT"
            );
        }
        const bool changed = co_await fleet_changed_.wait_until(now + ask_every);
        const Hive* hive = fleet_.find_hive(spawn->plan.hive);
        if (hive == nullptr) {
            co_return fail(Errc::unavailable, "the hive was removed", "HIVE_UNAVAILABLE");
        }
        if (changed || timers_.clock().now() - hive->last_report < ask_every) {
            continue;
        }
        // A hive that was added by its URL does not report by itself.
        auto report = co_await hives_.report(hive->endpoint);
        if (report && fleet_.find_hive(spawn->plan.hive) != nullptr) {
            report->hive_id = spawn->plan.hive;
            fleet_.apply(std::move(*report));
        } else if (!report && report.error().code == Errc::unavailable) {
            fleet_.unreachable(spawn->plan.hive, report.error().what);
            co_return error_of(report);
        }
    }
}

/// There is another hive to ask for this model, now that this one has refused.
bool Dispatcher::other_hive_may(const Spawn& spawn, const Error& error) {
    if (error.code == Errc::unavailable && error.wire_code.empty()) {
        return true; // it cannot be reached, and is out of the choice now
    }
    if (error.wire_code != "MODEL_UNAVAILABLE" && error.code != Errc::resources) {
        return false;
    }
    fleet_.spawn_refused(spawn.plan, told_to_wait(error));
    return std::ranges::any_of(spawn.wanted, [&](const domain::Wanted& wanted) {
        const auto next = fleet_.plan_spawn(wanted);
        return next && next->promising;
    });
}

void Dispatcher::finish_spawn(const std::shared_ptr<Spawn>& spawn, const Result<void>& outcome) {
    spawns_.remove(spawn);
    metrics_.spawn(outcome ? "ready" : "failed");
    const auto log = log_.with_correlation(spawn->correlation_id);
    if (outcome) {
        log.info("worker_spawned", "the worker is ready", {{"worker_id", spawn->worker_id}});
    } else {
        log.error(
            "worker_spawn_failed",
            "the worker could not be started",
            {{"hive", spawn->plan.hive},
             {"model_ref", spawn->plan.model_ref},
             {"cause", outcome.error().what}}
        );
        const bool elsewhere = other_hive_may(*spawn, outcome.error());
        for (const auto& wanted : spawn->wanted) {
            // Otherwise pump() tries the next hive, or the worker is restarted by its own.
            if (!elsewhere && !fleet_.served(wanted)) {
                fail_waiters(wanted, for_client(outcome.error()));
            }
        }
    }
    pump();
}

} // namespace rbee::queen
