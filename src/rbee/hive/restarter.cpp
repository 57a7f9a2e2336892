#include "rbee/hive/restarter.hpp"

#include "rbee/telemetry/task_failure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;
using domain::ExitKind;
using domain::WorkerState;
using Action = domain::RestartDecision::Action;

Restarter::Restarter(Dependencies dependencies)
    : with_(std::move(dependencies)),
      tasks_(with_.timers.executor(), telemetry::log_task_failures(with_.log)) {
    with_.supervisor.on_exit([this](const Supervisor::ExitReport& report) { ended(report); });
    with_.supervisor.on_ready([this](const std::string& id) { became_ready(id); });
    with_.gate.on_change([this] {
        for (const auto& [id, slot] : slots_) {
            slot->changed.notify_all(); // those that wait look again
        }
    });
}

Restarter::SlotPtr
Restarter::make_slot(const std::string& id, const domain::RestartPolicy::History& history) {
    std::erase_if(slots_, [this](const auto& item) {
        return with_.registry.find(item.first) == nullptr;
    });
    const Supervisor::Order* order = with_.supervisor.order_of(id);
    if (order == nullptr || with_.registry.find(id) == nullptr) {
        return nullptr;
    }
    auto slot = std::make_shared<Slot>(
        with_.timers, id, domain::RestartPolicy(rules_of(*order).restart, history)
    );
    slots_.insert_or_assign(id, slot);
    return slot;
}

void Restarter::try_out(const std::string& id, std::uint64_t trial) {
    if (const SlotPtr slot = make_slot(id, {})) {
        slot->trial = trial;
    }
}

void Restarter::keep(const std::string& id) {
    if (const SlotPtr slot = find(id)) {
        slot->kept = true;
    }
}

void Restarter::follow(const std::string& id, const domain::RestartPolicy::History& history) {
    const SlotPtr slot = make_slot(id, history);
    if (!slot) {
        return;
    }
    slot->kept = true;
    if (with_.registry.find(id)->ready) {
        became_ready(id);
    }
}

void Restarter::became_ready(const std::string& id) {
    if (const SlotPtr slot = find(id)) {
        next_turn(*slot);
        slot->policy.ready(with_.timers.clock().now());
        tasks_.start(watch_uptime(slot, slot->turn), "watch_uptime");
    }
}

asio::awaitable<void> Restarter::watch_uptime(SlotPtr slot, std::uint64_t turn) {
    const Supervisor::Order* order = with_.supervisor.order_of(slot->id);
    if (order == nullptr) {
        co_return;
    }
    const RestartRuleSet rules = rules_of(*order);
    const TimePoint ready = with_.timers.clock().now();
    const TimePoint proven = ready + rules.breaker.proof;
    const TimePoint stable = ready + rules.restart.stable;
    for (const TimePoint due : {std::min(proven, stable), std::max(proven, stable)}) {
        while (slot->turn == turn && with_.timers.clock().now() < due) {
            const bool notified = co_await slot->changed.wait_until(due);
            (void)notified; // the clock tells
        }
        if (slot->turn != turn) {
            co_return;
        }
        if (due == proven) {
            served(slot->id);
        }
        if (due == stable && slot->policy.settle(with_.timers.clock().now())) {
            const auto forgiven = with_.registry.restarts_forgiven(slot->id);
            (void)forgiven; // it has gone in this moment
        }
    }
}

void Restarter::served(std::string_view id) {
    const SlotPtr slot = find(id);
    if (!slot || slot->trial == 0) {
        return;
    }
    if (const Supervisor::Order* order = with_.supervisor.order_of(id)) {
        slot->policy.forgive();
        with_.gate.succeeded(*order, std::exchange(slot->trial, 0));
    }
}

void Restarter::ended(const Supervisor::ExitReport& report) {
    const SlotPtr slot = find(report.worker.id);
    if (!slot) {
        return;
    }
    next_turn(*slot);
    if (report.kind != ExitKind::asked_for) {
        // What the worker said itself stands there too.
        const WorkerRegistry::Entry* entry = with_.registry.find(slot->id);
        const bool told = entry != nullptr && entry->info.state == WorkerState::failed;
        decide(slot, report.kind, told ? std::string(entry->info.reason) : report.how);
        return;
    }
    if (const Supervisor::Order* order = with_.supervisor.order_of(slot->id)) {
        with_.gate.abandoned(*order, std::exchange(slot->trial, 0));
    }
    if (report.state != WorkerState::backoff) {
        slots_.erase(slot->id);
    }
}

void Restarter::decide(const SlotPtr& slot, ExitKind kind, const std::string& how) {
    const Supervisor::Order* order = with_.supervisor.order_of(slot->id);
    if (order == nullptr) {
        slots_.erase(slot->id);
        return;
    }
    const std::uint64_t trial = std::exchange(slot->trial, 0);
    const TimePoint now = with_.timers.clock().now();
    slot->policy.set_rules(rules_of(*order).restart); // which a reload may have changed
    const domain::RestartDecision next = slot->policy.exited(kind, now, with_.random());
    if (kind == ExitKind::configuration) {
        with_.gate.abandoned(*order, trial);
        with_.gate.hopeless(*order, how);
    } else {
        with_.gate.failed(*order, trial, how);
    }
    if (!slot->kept) {
        slots_.erase(slot->id); // who asked for it hears of it, and decides
        return;
    }
    switch (next.action) {
    case Action::none:
        return;
    case Action::hopeless:
        give_up(slot, *order, how);
        return;
    case Action::exhausted:
        with_.metrics.restart_failed();
        with_.gate.exhausted(*order, how);
        slot->due = now;
        slot->reason = fmt::format(
            "{}; all {} restarts are used up, so it waits for the circuit breaker",
            how,
            next.attempts_max
        );
        break;
    case Action::restart:
        slot->due = now + next.delay;
        slot->reason = fmt::format("{}; restart {} of {}", how, next.attempt, next.attempts_max);
        break;
    }
    with_.log.warn(
        "worker_restart_scheduled",
        "a worker will be started again",
        {{"worker_id", slot->id},
         {"kind", domain::to_string(kind)},
         {"attempt", next.attempt},
         {"attempts_max", next.attempts_max},
         {"delay_ms", next.delay.count()},
         {"due_in_ms", std::chrono::ceil<std::chrono::milliseconds>(next_start(*slot) - now).count()
         }}
    );
    wait_for_turn(slot);
}

void Restarter::give_up(
    const SlotPtr& slot, const Supervisor::Order& order, const std::string& how
) {
    with_.metrics.restart_failed();
    const auto noted = with_.registry.give_up(slot->id, WorkerState::failed, how);
    (void)noted; // it has gone in this moment
    with_.log.error(
        "worker_given_up",
        "a worker is not started again: it would end in the same way",
        {{"worker_id", slot->id}, {"model", order.model.name}, {"cause", how}}
    );
}

void Restarter::wait_for_turn(const SlotPtr& slot) {
    show_wait(*slot, next_start(*slot));
    tasks_.start(wait_and_start(slot, slot->turn), "restart");
}

TimePoint Restarter::next_start(const Slot& slot) const {
    const Supervisor::Order* order = with_.supervisor.order_of(slot.id);
    const auto gate = order != nullptr ? with_.gate.refused_until(*order) : std::nullopt;
    return std::max(slot.due, gate.value_or(slot.due));
}

void Restarter::show_wait(const Slot& slot, TimePoint next) {
    const Clock& clock = with_.timers.clock();
    const auto left = std::max(next - clock.now(), Duration::zero());
    const auto shown = with_.registry.back_off(
        slot.id, slot.reason, clock.wall() + std::chrono::duration_cast<WallTime::duration>(left)
    );
    (void)shown; // whoever stopped it was faster
}

bool Restarter::waits(const Slot& slot, std::uint64_t turn) const {
    const WorkerRegistry::Entry* entry = with_.registry.find(slot.id);
    return slot.turn == turn && entry != nullptr && !entry->info.pid &&
           !with_.supervisor.stopping();
}

asio::awaitable<void> Restarter::wait_and_start(SlotPtr slot, std::uint64_t turn) {
    TimePoint shown = next_start(*slot);
    while (waits(*slot, turn)) {
        const TimePoint next = next_start(*slot);
        if (next != shown) {
            show_wait(*slot, next);
            shown = next;
        }
        if (with_.timers.clock().now() < next) {
            const bool notified = co_await slot->changed.wait_until(next);
            (void)notified; // everything is looked at again
            continue;
        }
        const Supervisor::Order* order = with_.supervisor.order_of(slot->id);
        if (order != nullptr && with_.room) {
            const auto room = co_await with_.room(Supervisor::Order(*order));
            if (!waits(*slot, turn)) {
                break;
            }
            if (!room) {
                next_turn(*slot);
                decide(slot, ExitKind::crash, room.error().what);
                co_return;
            }
        }
        if (next_start(*slot) <= with_.timers.clock().now()) {
            start(slot);
            co_return;
        }
    }
    if (slot->turn == turn && with_.registry.find(slot->id) == nullptr) {
        slots_.erase(slot->id);
    }
}

void Restarter::start(const SlotPtr& slot) {
    const Supervisor::Order* order = with_.supervisor.order_of(slot->id);
    if (order == nullptr) {
        return;
    }
    const auto permit = with_.gate.admit(*order);
    next_turn(*slot);
    if (!permit) { // what it is made of is known to be no good
        give_up(slot, *order, permit.error().what);
        return;
    }
    slot->trial = *permit;
    const auto started = with_.supervisor.respawn(slot->id);
    if (!started) {
        with_.metrics.restart_failed();
        with_.log.error(
            "worker_restart_failed",
            "the process of a worker could not be started again",
            {{"worker_id", slot->id}, {"cause", started.error().what}}
        );
        decide(slot, ExitKind::crash, started.error().what);
        return;
    }
    with_.metrics.restarted();
    with_.log.info(
        "worker_restarted",
        "a worker was started again",
        {{"worker_id", slot->id},
         {"pid", started->pid.value_or(0)},
         {"restart_count", started->restart_count},
         {"trial", slot->trial != 0}}
    );
}

Result<api::WorkerInfo> Restarter::restart_now(const std::string& id) {
    const Supervisor::Order* order = with_.supervisor.order_of(id);
    if (order == nullptr) {
        return fail(Errc::not_found, "there is no such worker on this hive", "WORKER_NOT_FOUND");
    }
    with_.gate.close(*order);
    if (const SlotPtr slot = find(id)) {
        next_turn(*slot);
        slot->policy.forgive();
    }
    auto started = with_.supervisor.respawn(id);
    if (!started) {
        if (const SlotPtr slot = find(id); slot && !with_.supervisor.stopping()) {
            decide(slot, ExitKind::crash, started.error().what);
        }
        return started;
    }
    const auto forgiven = with_.registry.restarts_forgiven(id);
    (void)forgiven; // it was started in this moment
    with_.metrics.restarted();
    with_.log.info(
        "worker_restarted",
        "a worker was started again by hand",
        {{"worker_id", id}, {"pid", started->pid.value_or(0)}}
    );
    follow(id, {});
    return with_.registry.find(id)->info;
}

std::optional<domain::RestartPolicy::History> Restarter::history_of(std::string_view id) const {
    const SlotPtr slot = find(id);
    return slot ? std::optional(slot->policy.history()) : std::nullopt;
}

void Restarter::next_turn(Slot& slot) {
    ++slot.turn;
    slot.changed.notify_all();
}

Restarter::SlotPtr Restarter::find(std::string_view id) const {
    const auto found = slots_.find(id);
    return found == slots_.end() ? nullptr : found->second;
}

const RestartRuleSet& Restarter::rules_of(const Supervisor::Order& order) const {
    return with_.settings.of(order.model.ref.to_string(), order.model.name);
}

} // namespace rbee::hive
