#include "rbee/queen/dispatcher.hpp"

#include "rbee/api/json.hpp"
#include "rbee/api/types.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace rbee::queen {

namespace asio = boost::asio;
using domain::Admission;

namespace {

/// The hive gives a worker 5 minutes to load; a little more, so that its answer comes first.
constexpr Duration load_max = std::chrono::seconds(330);
/// A new worker must show up in the hive's reports within this.
constexpr Duration appear_max = std::chrono::seconds(20);
/// How often a hive is asked while somebody waits for its worker.
constexpr Duration ask_every = std::chrono::seconds(1);

} // namespace

/// One request in the line.
struct Dispatcher::Waiting {
    Waiting(runtime::Timers& timers, domain::Wanted what, std::string id)
        : wanted(std::move(what)), correlation_id(std::move(id)), woken(timers) {}
    domain::Wanted wanted;
    std::string correlation_id;
    std::optional<Lease> lease;
    std::optional<Error> failure;
    runtime::Notifier woken;
};

/// One worker that is being started for those who wait.
struct Dispatcher::Spawn {
    Fleet::SpawnPlan plan;
    std::vector<domain::Wanted> wanted; ///< What its waiters asked for.
    std::string correlation_id;         ///< Of the request that began it.
    std::string worker_id;
};

/// A request's presence in the line, taken back on every way out.
class Dispatcher::InLine {
public:
    InLine(Dispatcher& owner, Admission::Ticket ticket, Waiting& waiting)
        : owner_(owner), ticket_(ticket) {
        owner_.waiting_.emplace(ticket, &waiting);
    }
    InLine(const InLine&) = delete;
    InLine& operator=(const InLine&) = delete;
    ~InLine() {
        owner_.waiting_.erase(ticket_);
        owner_.admission_.leave(ticket_);
        owner_.metrics_.queue_depth(owner_.admission_.waiting());
    }

private:
    Dispatcher& owner_;
    Admission::Ticket ticket_;
};

Dispatcher::Dispatcher(Parts parts, Admission::Limits limits)
    : fleet_(parts.fleet), hives_(parts.hives), timers_(parts.timers), log_(parts.log),
      metrics_(parts.metrics), admission_(limits), fleet_changed_(parts.timers),
      tasks_(parts.timers.executor(), telemetry::log_task_failures(parts.log)) {
    fleet_.on_change([this] { pump(); });
}

Dispatcher::~Dispatcher() {
    fleet_.on_change({});
}

asio::awaitable<void> Dispatcher::stop() {
    stopping_ = true;
    for (const auto& [ticket, waiting] : waiting_) {
        waiting->failure = Error{Errc::unavailable, "the service is stopping", "SHUTTING_DOWN"};
        waiting->woken.notify_all();
    }
    co_await tasks_.stop();
}

bool Dispatcher::place(const Admission::Waiter& waiter) {
    auto worker = fleet_.take(waiter.wanted);
    if (!worker) {
        return false;
    }
    waiting_.at(waiter.ticket)->lease.emplace(fleet_, std::move(worker));
    return true;
}

asio::awaitable<Result<Lease>> Dispatcher::acquire(std::shared_ptr<Demand> demand) {
    if (stopping_) {
        co_return fail(Errc::unavailable, "the service is stopping", "SHUTTING_DOWN");
    }
    std::optional<Admission::Waiter>& kept = demand->waiter; // from an earlier attempt
    const bool again = kept.has_value();
    if (!kept) {
        kept = admission_.make_waiter(demand->wanted, timers_.clock().now());
    }
    const Admission::Waiter& waiter = *kept;
    Waiting waiting(timers_, demand->wanted, demand->correlation_id);
    const InLine in_line(*this, waiter.ticket, waiting);
    const Admission::Place take = [this](const Admission::Waiter& who) { return place(who); };
    const auto outcome = again ? Result<Admission::Outcome>(admission_.readmit(waiter, take))
                               : admission_.admit(waiter, take);
    if (!outcome) {
        co_return error_of(outcome);
    }
    CancelSource::Registration on_cancel;
    if (*outcome == Admission::Outcome::waiting) {
        metrics_.queue_depth(admission_.waiting());
        on_cancel = demand->cancel->on_cancel([&](CancelReason) { waiting.woken.notify_all(); });
        ensure_worker(demand->wanted, demand->correlation_id);
    }
    while (!waiting.lease && !waiting.failure) {
        if (const auto reason = demand->cancel->reason()) {
            co_return fail(
                Errc::cancelled, fmt::format("cancelled while waiting: {}", to_string(*reason))
            );
        }
        const bool notified = co_await waiting.woken.wait_until(waiter.due);
        if (!notified && !waiting.lease && !waiting.failure) {
            waiting.failure = waited_too_long(demand->wanted);
        }
    }
    if (!waiting.lease) {
        co_return std::unexpected(*waiting.failure);
    }
    co_return std::move(*waiting.lease);
}

Error Dispatcher::waited_too_long(const domain::Wanted& wanted) const {
    const bool loading = std::ranges::any_of(spawns_, [&](const auto& spawn) {
        return std::ranges::find(spawn->wanted, wanted) != spawn->wanted.end();
    });
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(admission_.limits().wait_max).count();
    return {
        Errc::busy,
        fmt::format(
            "waited {} s: {}",
            seconds,
            loading ? "the model is still loading" : "every slot stayed busy"
        ),
        "NO_IDLE_WORKERS",
    };
}

void Dispatcher::hold(Worker& worker, Duration time) {
    fleet_.hold(worker, time);
    tasks_.start(pump_at(timers_.clock().now() + time), "release");
}

asio::awaitable<void> Dispatcher::pump_at(TimePoint due) {
    co_await timers_.sleep_until(due);
    pump();
}

void Dispatcher::pump() {
    // Granting and failing waiters may change the fleet, which calls this again.
    pump_again_ = true;
    if (pumping_) {
        return;
    }
    pumping_ = true;
    while (std::exchange(pump_again_, false)) {
        const auto granted =
            admission_.grant([this](const Admission::Waiter& waiter) { return place(waiter); });
        for (const Admission::Ticket ticket : granted) {
            waiting_.at(ticket)->woken.notify_all();
        }
        fleet_changed_.notify_all();
        std::vector<std::pair<domain::Wanted, std::string>> hopeful;
        for (const auto& [ticket, waiter] : admission_.line()) {
            hopeful.emplace_back(waiter.wanted, waiting_.at(ticket)->correlation_id);
        }
        for (const auto& [wanted, correlation_id] : hopeful) {
            ensure_worker(wanted, correlation_id);
        }
    }
    pumping_ = false;
    metrics_.queue_depth(admission_.waiting());
    if (fleet_.revision() != counted_revision_) {
        counted_revision_ = fleet_.revision();
        metrics_.count(fleet_);
    }
}

// Workers on demand
// --------------------------------------------------------------------------------

void Dispatcher::ensure_worker(const domain::Wanted& wanted, const std::string& correlation_id) {
    if (stopping_ || fleet_.served(wanted)) {
        return;
    }
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

void Dispatcher::fail_waiters(const domain::Wanted& wanted, const Error& error) {
    for (const auto& [ticket, waiting] : waiting_) {
        if (waiting->wanted == wanted && !waiting->lease && admission_.leave(ticket)) {
            waiting->failure = error;
            waiting->woken.notify_all();
        }
    }
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
        if ((worker && !domain::alive(state)) || (seen && !worker)) {
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
        const bool elsewhere =
            outcome.error().code == Errc::unavailable && outcome.error().wire_code.empty();
        for (const auto& wanted : spawn->wanted) {
            // A hive that cannot be reached is out of the choice now: pump() tries the next one.
            if (!elsewhere && !fleet_.served(wanted)) {
                fail_waiters(wanted, for_client(outcome.error()));
            }
        }
    }
    pump();
}

} // namespace rbee::queen
