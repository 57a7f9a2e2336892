#include "rbee/audit/events.hpp"

#include "rbee/telemetry/redact.hpp"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

namespace rbee::audit {
namespace {

void add(EventBuilder& out, const Resource& resource) {
    out.text("resource_type", resource.resource_type).id("resource_id", resource.resource_id);
    out.id("parent_id", resource.parent_id);
}

void add(EventBuilder& out, const WorkerFacts& worker) {
    out.actor(worker.actor).correlation(worker.correlation_id).id("worker_id", worker.worker_id);
    out.text("model_ref", worker.model_ref).text("backend", worker.backend);
    out.number("device", worker.device).id("node", worker.node);
}

/// "name: before -> after", without the values where the name says that they are secret.
void add(EventBuilder& out, std::span<const Change> changes) {
    std::vector<std::string> fields;
    std::vector<std::string> values;
    for (const Change& change : changes) {
        fields.emplace_back(change.field);
        values.push_back(
            telemetry::names_a_secret(change.field)
                ? fmt::format("{}: [REDACTED]", change.field)
                : telemetry::redact(
                      fmt::format("{}: {} -> {}", change.field, change.before, change.after)
                  )
        );
    }
    out.list("fields", fields).list("values", values);
}

} // namespace

void add_outcome(EventBuilder& out, const Outcome& outcome) {
    constexpr std::array<std::string_view, 3> names = {"success", "failure", "partial_success"};
    out.text("result", names.at(static_cast<std::size_t>(outcome.kind)));
    out.prose("result_reason", outcome.reason);
}

Event make_event(const AuthSuccess& event) {
    EventBuilder out("auth.success", event.kind);
    out.actor(event.actor);
    out.text("method", event.method);
    out.path("path", event.path);
    out.id("service_id", event.service_id);
    out.correlation(event.correlation_id);
    return std::move(out).build();
}

Event make_event(const AuthFailure& event) {
    EventBuilder out("auth.failure", EventClass::security);
    const bool named = !event.attempted_user.empty();
    out.actor({.user_id = named ? event.attempted_user : "anonymous"});
    out.text("attempted_user", event.attempted_user);
    out.text("reason", event.reason);
    out.text("ip", event.ip);
    out.text("method", event.method);
    out.path("path", event.path);
    out.id("service_id", event.service_id);
    out.correlation(event.correlation_id);
    out.fold_by(event.ip);
    return std::move(out).build();
}

Event make_event(const TokenCreated& event) {
    EventBuilder out("token.created", EventClass::control);
    out.actor(event.actor);
    out.id("token_fingerprint", event.token_fingerprint);
    out.list("scope", event.scope);
    out.text("expires_at", event.expires_at);
    return std::move(out).build();
}

Event make_event(const TokenRevoked& event) {
    EventBuilder out("token.revoked", EventClass::control);
    out.actor(event.actor);
    out.id("token_fingerprint", event.token_fingerprint);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const AuthzGranted& event) {
    EventBuilder out("authz.granted", EventClass::security);
    out.actor(event.actor);
    add(out, event.resource);
    out.text("action", event.action);
    return std::move(out).build();
}

Event make_event(const AuthzDenied& event) {
    EventBuilder out("authz.denied", EventClass::security);
    out.actor(event.actor);
    add(out, event.resource);
    out.text("action", event.action);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const PermissionChanged& event) {
    EventBuilder out("authz.permission_changed", EventClass::control);
    out.actor(event.actor);
    out.text("subject", event.subject);
    out.list("old_permissions", event.old_permissions);
    out.list("new_permissions", event.new_permissions);
    return std::move(out).build();
}

Event make_event(const TaskSubmitted& event) {
    EventBuilder out("task.submitted", EventClass::inference);
    out.actor(event.actor);
    out.id("task_id", event.task_id);
    out.text("model_ref", event.model_ref);
    out.number("prompt_length", event.prompt_length);
    out.id("prompt_hash", event.prompt_hash);
    out.number("max_tokens", event.max_tokens);
    return std::move(out).build();
}

Event make_event(const TaskCompleted& event) {
    EventBuilder out("task.completed", EventClass::inference);
    out.id("task_id", event.task_id);
    out.id("worker_id", event.worker_id);
    out.number("tokens_generated", event.tokens_generated);
    out.number("duration_ms", event.duration_ms);
    add_outcome(out, event.outcome);
    return std::move(out).build();
}

Event make_event(const TaskCanceled& event) {
    EventBuilder out("task.canceled", EventClass::inference);
    out.actor(event.actor);
    out.id("task_id", event.task_id);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const InferenceStart& event) {
    EventBuilder out("inference.start", EventClass::inference);
    out.actor(event.actor);
    out.text("model_ref", event.model_ref);
    out.path("endpoint", event.endpoint);
    out.correlation(event.correlation_id);
    return std::move(out).build();
}

Event make_event(const WorkerAssigned& event) {
    EventBuilder out("worker.assigned", EventClass::inference);
    out.id("worker_id", event.worker_id);
    out.text("model_ref", event.model_ref);
    out.id("node", event.node);
    out.correlation(event.correlation_id);
    return std::move(out).build();
}

Event make_event(const InferenceComplete& event) {
    EventBuilder out("inference.complete", EventClass::inference);
    out.id("worker_id", event.worker_id);
    out.text("model_ref", event.model_ref);
    out.optional_number("tokens_generated", event.tokens_generated);
    out.number("duration_ms", event.duration_ms);
    add_outcome(out, event.outcome);
    out.correlation(event.correlation_id);
    return std::move(out).build();
}

Event make_event(const RateLimitExceeded& event) {
    EventBuilder out("security.rate_limit_exceeded", EventClass::security);
    out.text("ip", event.ip);
    out.path("endpoint", event.endpoint);
    out.number("limit", event.limit);
    out.number("actual", event.actual);
    out.number("window_seconds", event.window_seconds);
    out.correlation(event.correlation_id);
    out.fold_by(event.ip);
    return std::move(out).build();
}

Event make_event(const PathTraversalAttempt& event) {
    EventBuilder out("security.path_traversal_attempt", EventClass::security);
    out.actor(event.actor);
    out.path("attempted_path", event.attempted_path);
    out.path("endpoint", event.endpoint);
    return std::move(out).build();
}

Event make_event(const InvalidTokenUsed& event) {
    EventBuilder out("security.invalid_token_used", EventClass::security);
    out.text("ip", event.ip);
    out.id("token_prefix", event.token_prefix);
    out.path("endpoint", event.endpoint);
    out.fold_by(event.ip);
    return std::move(out).build();
}

Event make_event(const PolicyViolation& event) {
    EventBuilder out("security.policy_violation", EventClass::security);
    out.text("policy", event.policy);
    out.text("violation", event.violation);
    out.prose("details", event.details);
    out.text("severity", event.severity);
    out.id("worker_id", event.worker_id);
    out.text("action_taken", event.action_taken);
    return std::move(out).build();
}

Event make_event(const SuspiciousActivity& event) {
    EventBuilder out("security.suspicious_activity", EventClass::security);
    out.actor(event.actor);
    out.text("activity_type", event.activity_type);
    out.prose("details", event.details);
    out.number("risk_score", event.risk_score);
    return std::move(out).build();
}

Event make_event(const IntegrityViolation& event) {
    EventBuilder out("security.integrity_violation", EventClass::security);
    out.text("resource_type", event.resource_type);
    out.id("resource_id", event.resource_id);
    out.id("expected_hash", event.expected_hash);
    out.id("actual_hash", event.actual_hash);
    out.text("severity", event.severity);
    out.text("action_taken", event.action_taken);
    out.id("worker_id", event.worker_id);
    return std::move(out).build();
}

Event make_event(const MalformedModelRejected& event) {
    EventBuilder out("security.malformed_model_rejected", EventClass::security);
    out.text("model_ref", event.model_ref);
    out.prose("validation_error", event.validation_error);
    out.text("severity", event.severity);
    out.text("action_taken", event.action_taken);
    out.id("worker_id", event.worker_id);
    return std::move(out).build();
}

Event make_event(const ResourceLimitViolation& event) {
    EventBuilder out("security.resource_limit_violation", EventClass::security);
    out.text("resource_type", event.resource_type);
    out.text("limit_type", event.limit_type);
    out.number("limit_value", event.limit_value);
    out.number("actual_value", event.actual_value);
    out.text("severity", event.severity);
    out.text("action_taken", event.action_taken);
    out.id("worker_id", event.worker_id);
    return std::move(out).build();
}

Event make_event(const WorkerStarted& event) {
    EventBuilder out("worker.started", EventClass::control);
    add(out, event.worker);
    out.number("pid", event.pid);
    return std::move(out).build();
}

Event make_event(const WorkerStopped& event) {
    EventBuilder out("worker.stopped", EventClass::control);
    add(out, event.worker);
    out.text("reason", event.reason);
    out.flag("graceful", event.graceful);
    out.text("exit_status", event.exit_status);
    return std::move(out).build();
}

Event make_event(const WorkerCrashed& event) {
    EventBuilder out("worker.crashed", EventClass::control);
    add(out, event.worker);
    out.text("exit_status", event.exit_status);
    out.text("detection", event.detection);
    return std::move(out).build();
}

Event make_event(const WorkerRestarted& event) {
    EventBuilder out("worker.restarted", EventClass::control);
    add(out, event.worker);
    out.number("pid", event.pid);
    out.number("restart_count", event.restart_count);
    out.number("delay_ms", event.delay_ms);
    return std::move(out).build();
}

Event make_event(const WorkerForceKilled& event) {
    EventBuilder out("worker.force_killed", EventClass::control);
    add(out, event.worker);
    out.number("pid", event.pid);
    out.text("signal", event.signal);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const BreakerOpened& event) {
    EventBuilder out("breaker.opened", EventClass::control);
    out.text("breaker", event.breaker);
    out.text("model_ref", event.model_ref);
    out.number("failures", event.failures);
    out.number("retry_after_ms", event.retry_after_ms);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const BreakerClosed& event) {
    EventBuilder out("breaker.closed", EventClass::control);
    out.text("breaker", event.breaker);
    out.text("model_ref", event.model_ref);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const ConfigReloaded& event) {
    EventBuilder out("config.reloaded", EventClass::control);
    out.actor(event.actor);
    out.text("source", event.source);
    add(out, event.changes);
    return std::move(out).build();
}

Event make_event(const ConfigValidationFailed& event) {
    EventBuilder out("config.validation_failed", EventClass::control);
    out.actor(event.actor);
    out.text("source", event.source);
    out.text("reason", event.reason);
    out.list("fields", event.fields);
    return std::move(out).build();
}

Event make_event(const SecretReloaded& event) {
    EventBuilder out("secret.reloaded", EventClass::control);
    out.actor(event.actor);
    out.text("name", event.name);
    out.id("old_fingerprint", event.old_fingerprint);
    out.id("new_fingerprint", event.new_fingerprint);
    return std::move(out).build();
}

} // namespace rbee::audit
