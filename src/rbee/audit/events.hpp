#pragma once

#include "rbee/audit/event.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rbee::audit {

// Events of behaviour.md 11.4 with their fields. They only view what they are given: build one
// inside the call that records it. An empty text is left out of the record.

/// What somebody wanted to use.
struct Resource {
    std::string_view resource_type = {};
    std::string_view resource_id = {};
    std::string_view parent_id = {};
};

/// How something ended.
struct Outcome {
    enum class Kind : std::uint8_t { success, failure, partial_success };
    Kind kind = Kind::success;
    std::string_view reason = {}; ///< Of a failure, or the details of a partial success.
};
/// Adds "result" and, when there is one, "result_reason".
void add_outcome(EventBuilder& out, const Outcome& outcome);

// Tokens and what they may do.

/// auth.success
struct AuthSuccess {
    Actor actor = {};
    std::string_view method = {};
    std::string_view path = {};
    std::string_view service_id = {};
    std::string_view correlation_id = {};
    EventClass kind = EventClass::security; ///< Of what is admitted.
};
[[nodiscard]] Event make_event(const AuthSuccess& event);

/// auth.failure
struct AuthFailure {
    std::string_view attempted_user = {};
    std::string_view reason = {};
    std::string_view ip = {};
    std::string_view method = {};
    std::string_view path = {};
    std::string_view service_id = {};
    std::string_view correlation_id = {};
};
[[nodiscard]] Event make_event(const AuthFailure& event);

/// token.created
struct TokenCreated {
    Actor actor = {};
    std::string_view token_fingerprint = {};
    std::span<const std::string> scope = {};
    std::string_view expires_at = {};
};
[[nodiscard]] Event make_event(const TokenCreated& event);

/// token.revoked
struct TokenRevoked {
    Actor actor = {};
    std::string_view token_fingerprint = {};
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const TokenRevoked& event);

/// authz.granted
struct AuthzGranted {
    Actor actor = {};
    Resource resource = {};
    std::string_view action = {};
};
[[nodiscard]] Event make_event(const AuthzGranted& event);

/// authz.denied
struct AuthzDenied {
    Actor actor = {};
    Resource resource = {};
    std::string_view action = {};
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const AuthzDenied& event);

/// authz.permission_changed
struct PermissionChanged {
    Actor actor = {};
    std::string_view subject = {};
    std::span<const std::string> old_permissions = {};
    std::span<const std::string> new_permissions = {};
};
[[nodiscard]] Event make_event(const PermissionChanged& event);

// Requests; those of one request share its correlation id, and none has a prompt.

/// task.submitted. The prompt itself never comes here: its length and digest do.
struct TaskSubmitted {
    Actor actor = {};
    std::string_view task_id = {};
    std::string_view model_ref = {};
    std::uint64_t prompt_length = 0;
    std::string_view prompt_hash = {};
    std::uint64_t max_tokens = 0;
};
[[nodiscard]] Event make_event(const TaskSubmitted& event);

/// task.completed
struct TaskCompleted {
    std::string_view task_id = {};
    std::string_view worker_id = {};
    std::uint64_t tokens_generated = 0;
    std::uint64_t duration_ms = 0;
    Outcome outcome = {};
};
[[nodiscard]] Event make_event(const TaskCompleted& event);

/// task.canceled
struct TaskCanceled {
    Actor actor = {};
    std::string_view task_id = {};
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const TaskCanceled& event);

/// inference.start
struct InferenceStart {
    Actor actor = {};
    std::string_view model_ref = {};
    std::string_view endpoint = {};
    std::string_view correlation_id = {};
};
[[nodiscard]] Event make_event(const InferenceStart& event);

/// worker.assigned
struct WorkerAssigned {
    std::string_view worker_id = {};
    std::string_view model_ref = {};
    std::string_view node = {};
    std::string_view correlation_id = {};
};
[[nodiscard]] Event make_event(const WorkerAssigned& event);

/// inference.complete
struct InferenceComplete {
    std::string_view worker_id = {};
    std::string_view model_ref = {};
    std::optional<std::uint64_t> tokens_generated = {};
    std::uint64_t duration_ms = 0;
    Outcome outcome = {};
    std::string_view correlation_id = {};
};
[[nodiscard]] Event make_event(const InferenceComplete& event);

// What was refused.

/// security.rate_limit_exceeded
struct RateLimitExceeded {
    std::string_view ip = {};
    std::string_view endpoint = {};
    std::uint64_t limit = 0;
    std::uint64_t actual = 0;
    std::uint64_t window_seconds = 0;
    std::string_view correlation_id = {};
};
[[nodiscard]] Event make_event(const RateLimitExceeded& event);

/// security.path_traversal_attempt. The path may hold "..": that is what it is about.
struct PathTraversalAttempt {
    Actor actor = {};
    std::string_view attempted_path = {};
    std::string_view endpoint = {};
};
[[nodiscard]] Event make_event(const PathTraversalAttempt& event);

/// security.invalid_token_used
struct InvalidTokenUsed {
    std::string_view ip = {};
    std::string_view token_prefix = {};
    std::string_view endpoint = {};
};
[[nodiscard]] Event make_event(const InvalidTokenUsed& event);

/// security.policy_violation
struct PolicyViolation {
    std::string_view policy = {};
    std::string_view violation = {};
    std::string_view details = {};
    std::string_view severity = {};
    std::string_view worker_id = {};
    std::string_view action_taken = {};
};
[[nodiscard]] Event make_event(const PolicyViolation& event);

/// security.suspicious_activity
struct SuspiciousActivity {
    Actor actor = {};
    std::string_view activity_type = {};
    std::string_view details = {};
    std::uint64_t risk_score = 0;
};
[[nodiscard]] Event make_event(const SuspiciousActivity& event);

/// security.integrity_violation
struct IntegrityViolation {
    std::string_view resource_type = {};
    std::string_view resource_id = {};
    std::string_view expected_hash = {};
    std::string_view actual_hash = {};
    std::string_view severity = {};
    std::string_view action_taken = {};
    std::string_view worker_id = {};
};
[[nodiscard]] Event make_event(const IntegrityViolation& event);

/// security.malformed_model_rejected
struct MalformedModelRejected {
    std::string_view model_ref = {};
    std::string_view validation_error = {};
    std::string_view severity = {};
    std::string_view action_taken = {};
    std::string_view worker_id = {};
};
[[nodiscard]] Event make_event(const MalformedModelRejected& event);

/// security.resource_limit_violation
struct ResourceLimitViolation {
    std::string_view resource_type = {};
    std::string_view limit_type = {};
    std::uint64_t limit_value = 0;
    std::uint64_t actual_value = 0;
    std::string_view severity = {};
    std::string_view action_taken = {};
    std::string_view worker_id = {};
};
[[nodiscard]] Event make_event(const ResourceLimitViolation& event);

// Workers and circuit breakers.

/// Which worker. In every event about one.
struct WorkerFacts {
    Actor actor = {};
    std::string_view worker_id = {};
    std::string_view model_ref = {};
    std::string_view backend = {};
    std::uint64_t device = 0;
    std::string_view node = {};
    std::string_view correlation_id = {};
};

/// worker.started
struct WorkerStarted {
    WorkerFacts worker = {};
    std::uint64_t pid = 0;
};
[[nodiscard]] Event make_event(const WorkerStarted& event);

/// worker.stopped
struct WorkerStopped {
    WorkerFacts worker = {};
    std::string_view reason = {};
    bool graceful = false;
    std::string_view exit_status = {};
};
[[nodiscard]] Event make_event(const WorkerStopped& event);

/// worker.crashed
struct WorkerCrashed {
    WorkerFacts worker = {};
    std::string_view exit_status = {};
    std::string_view detection = {};
};
[[nodiscard]] Event make_event(const WorkerCrashed& event);

/// worker.restarted
struct WorkerRestarted {
    WorkerFacts worker = {};
    std::uint64_t pid = 0;
    std::uint64_t restart_count = 0;
    std::uint64_t delay_ms = 0;
};
[[nodiscard]] Event make_event(const WorkerRestarted& event);

/// worker.force_killed
struct WorkerForceKilled {
    WorkerFacts worker = {};
    std::uint64_t pid = 0;
    std::string_view signal = {};
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const WorkerForceKilled& event);

/// breaker.opened
struct BreakerOpened {
    std::string_view breaker = {};
    std::string_view model_ref = {};
    std::uint64_t failures = 0;
    std::uint64_t retry_after_ms = 0;
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const BreakerOpened& event);

/// breaker.closed
struct BreakerClosed {
    std::string_view breaker = {};
    std::string_view model_ref = {};
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const BreakerClosed& event);

// Settings.

/// One setting that changed. Values of secrets are never given, only that they changed.
struct Change {
    std::string_view field = {};
    std::string_view before = {};
    std::string_view after = {};
};

/// config.reloaded
struct ConfigReloaded {
    Actor actor = {};
    std::string_view source = {};
    std::span<const Change> changes = {};
};
[[nodiscard]] Event make_event(const ConfigReloaded& event);

/// config.validation_failed
struct ConfigValidationFailed {
    Actor actor = {};
    std::string_view source = {};
    std::string_view reason = {};
    std::span<const std::string> fields = {};
};
[[nodiscard]] Event make_event(const ConfigValidationFailed& event);

/// secret.reloaded
struct SecretReloaded {
    Actor actor = {};
    std::string_view name = {};
    std::string_view old_fingerprint = {};
    std::string_view new_fingerprint = {};
};
[[nodiscard]] Event make_event(const SecretReloaded& event);

} // namespace rbee::audit
