#include "rbee/queen/dispatcher.hpp"

#include "rbee/audit/events.hpp"
#include "rbee/queen/dispatcher_parts.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;
using domain::Admission;

namespace {

std::int64_t whole_seconds(Duration time) {
    return std::max<std::int64_t>(std::chrono::ceil<std::chrono::seconds>(time).count(), 1);
}

/// The worker comes back, but not in time for this request.
Error too_late(const Worker& worker, TimePoint now) {
    const std::int64_t seconds = whole_seconds(worker.restart_due - now);
    const std::string& why =
        worker.info.last_exit.empty() ? worker.info.reason : worker.info.last_exit;
    Error error{
        Errc::unavailable,
        fmt::format(
            "the worker for this model is started again in {} s, after the deadline: {}",
            seconds,
            why
        ),
        "MODEL_UNAVAILABLE"
    };
    error.details =
        json::serialize(json::object{{"retry_after_s", seconds}, {"worker_id", worker.info.id}});
    return error;
}

} // namespace

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
      metrics_(parts.metrics), audit_(parts.audit), admission_(limits),
      fleet_changed_(parts.timers),
      tasks_(parts.timers.executor(), telemetry::log_task_failures(parts.log)) {
    fleet_.on_change([this] { pump(); });
    fleet_.on_due([this](TimePoint due) { tasks_.start(pump_at(due), "due"); });
    fleet_.on_opening([this](const Fleet::Opening& opening) { note_opening(opening); });
}

Dispatcher::~Dispatcher() {
    fleet_.on_change({});
    fleet_.on_due({});
    fleet_.on_opening({});
}

void Dispatcher::note_opening(const Fleet::Opening& opening) {
    const std::chrono::duration<double> time = opening.until - timers_.clock().now();
    log_.warn(
        "route_breaker_open",
        "too many calls failed: nothing is sent there for a while unless there is no other way",
        {{"target", opening.target}, {"name", opening.name}, {"seconds", time.count()}}
    );
    metrics_.route_breaker_opened(opening.target);
    if (audit_ != nullptr) {
        const std::string breaker = fmt::format("route:{}:{}", opening.target, opening.name);
        const auto ms = std::chrono::duration<double, std::milli>(time).count();
        audit_->record(audit::make_event(audit::BreakerOpened{
            .breaker = breaker,
            .retry_after_ms = static_cast<std::uint64_t>(std::max(ms, 0.0)),
            .reason = "too many calls failed",
        }));
    }
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
    const std::uint64_t degraded = fleet_.degraded();
    auto worker = fleet_.take(waiter.wanted);
    if (!worker) {
        return false;
    }
    if (fleet_.degraded() != degraded) {
        metrics_.degraded_route();
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
    Waiting waiting(timers_, *demand);
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
        look_after(waiter.ticket);
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
    const Fleet::Outlook hope = fleet_.outlook(wanted);
    const bool restarting = !hope.soon && hope.restarting;
    return {
        Errc::busy,
        fmt::format(
            "waited {} s: {}",
            seconds,
            loading      ? "the model is still loading"
            : restarting ? "its worker is still being restarted"
                         : "every slot stayed busy"
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
        std::vector<Admission::Ticket> line;
        for (const auto& [ticket, waiter] : admission_.line()) {
            line.push_back(ticket);
        }
        for (const Admission::Ticket ticket : line) {
            look_after(ticket);
        }
    }
    pumping_ = false;
    metrics_.queue_depth(admission_.waiting());
    if (fleet_.revision() != counted_revision_) {
        counted_revision_ = fleet_.revision();
        metrics_.count(fleet_);
    }
}

/// Gives one who waits something to wait for, or ends the wait.
void Dispatcher::look_after(Admission::Ticket ticket) {
    const auto found = waiting_.find(ticket);
    if (stopping_ || found == waiting_.end() || found->second->failure) {
        return;
    }
    const Waiting& waiting = *found->second;
    const Fleet::Outlook hope = fleet_.outlook(waiting.wanted);
    if (!hope.soon && !hope.restarting) {
        ensure_worker(waiting.wanted, waiting.correlation_id);
    } else if (!hope.soon && waiting.give_up && hope.restarting->restart_due > *waiting.give_up) {
        fail_waiter(ticket, too_late(*hope.restarting, timers_.clock().now()));
    }
}

void Dispatcher::fail_waiters(const domain::Wanted& wanted, const Error& error) {
    for (const auto& [ticket, waiting] : waiting_) {
        if (waiting->wanted == wanted) {
            fail_waiter(ticket, error);
        }
    }
}

void Dispatcher::fail_waiter(Admission::Ticket ticket, const Error& error) {
    Waiting& waiting = *waiting_.at(ticket);
    if (!waiting.lease && admission_.leave(ticket)) {
        waiting.failure = error;
        waiting.woken.notify_all();
    }
}

} // namespace rbee::queen
