#include "rbee/hive/worker_audit.hpp"

#include "rbee/domain/validate.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace rbee::hive {
namespace {

/// How the end of a worker was noticed.
std::string_view detection_of(const Supervisor::ExitReport& report) {
    if (report.stalled) {
        return "stall";
    }
    return report.oom_evidence.empty() ? "exit" : "out_of_memory";
}

} // namespace

void WorkerAudit::attach(Supervisor& supervisor) {
    supervisor.on_start([this](const api::WorkerInfo& worker, const Supervisor::Order& order) {
        started(worker, order);
    });
    supervisor.on_exit([this, &supervisor](const Supervisor::ExitReport& report) {
        ended(report, supervisor.order_of(report.worker.id));
    });
}

void WorkerAudit::attach(StartGate& gate) {
    gate.on_turn([this](const StartGate::Turn& turn) { turned(turn); });
}

audit::WorkerFacts
WorkerAudit::facts(const api::WorkerInfo& worker, const Supervisor::Order* order) const {
    const bool asked = order != nullptr && !order->actor.empty() && worker.restart_count == 0;
    return {
        .actor =
            {.user_id = asked ? std::string_view(order->actor) : std::string_view("system"),
             .auth_method = asked ? "bearer_token" : "internal"},
        .worker_id = worker.id,
        .model_ref = worker.model_ref,
        .backend = worker.backend,
        .device = worker.device,
        .node = node_,
        .correlation_id =
            order == nullptr ? std::string_view() : std::string_view(order->correlation_id),
    };
}

void WorkerAudit::started(const api::WorkerInfo& worker, const Supervisor::Order& order) {
    const auto pid = static_cast<std::uint64_t>(worker.pid.value_or(0));
    const audit::WorkerFacts which = facts(worker, &order);
    if (worker.restart_count == 0) {
        logger_.record(audit::make_event(audit::WorkerStarted{.worker = which, .pid = pid}));
        return;
    }
    logger_.record(audit::make_event(
        audit::WorkerRestarted{.worker = which, .pid = pid, .restart_count = worker.restart_count}
    ));
}

void WorkerAudit::ended(const Supervisor::ExitReport& report, const Supervisor::Order* order) {
    audit::WorkerFacts which = facts(report.worker, order);
    // Whoever had it started has not ended it; who asked for that has a record of his own.
    which.actor = {.user_id = "system", .auth_method = "internal"};
    const std::string how = domain::harmless(report.how, audit::field_bytes_max / 2);
    const std::string why = domain::harmless(report.worker.reason, audit::field_bytes_max / 2);
    if (report.forced) {
        logger_.record(audit::make_event(audit::WorkerForceKilled{
            .worker = which,
            .pid = static_cast<std::uint64_t>(report.worker.pid.value_or(0)),
            .signal = "SIGKILL",
            .reason = why,
        }));
    }
    if (report.requested) {
        logger_.record(audit::make_event(audit::WorkerStopped{
            .worker = which, .reason = why, .graceful = !report.forced, .exit_status = how
        }));
        return;
    }
    logger_.record(audit::make_event(
        audit::WorkerCrashed{.worker = which, .exit_status = how, .detection = detection_of(report)}
    ));
}

void WorkerAudit::turned(const StartGate::Turn& turn) {
    const std::string model = turn.order.model.ref.to_string();
    const std::string breaker =
        fmt::format("start:{}:{}:{}", turn.order.model.name, turn.order.backend, turn.order.device);
    const std::string cause = domain::harmless(turn.cause, audit::field_bytes_max / 2);
    if (turn.open) {
        logger_.record(audit::make_event(audit::BreakerOpened{
            .breaker = breaker,
            .model_ref = model,
            .retry_after_ms = static_cast<std::uint64_t>(turn.cooldown_s) * 1000,
            .reason = cause,
        }));
        return;
    }
    logger_.record(audit::make_event(
        audit::BreakerClosed{.breaker = breaker, .model_ref = model, .reason = cause}
    ));
}

} // namespace rbee::hive
