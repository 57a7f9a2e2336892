#include "rbee/audit/resource_events.hpp"

#include <utility>

namespace rbee::audit {

Event make_event(const PoolCreated& event) {
    EventBuilder out("pool.created", EventClass::control);
    out.actor(event.actor);
    out.id("pool_id", event.pool_id);
    out.text("model_ref", event.model_ref);
    out.id("node_id", event.node_id);
    out.number("replicas", event.replicas);
    out.numbers("gpu_devices", event.gpu_devices);
    return std::move(out).build();
}

Event make_event(const PoolDeleted& event) {
    EventBuilder out("pool.deleted", EventClass::control);
    out.actor(event.actor);
    out.id("pool_id", event.pool_id);
    out.text("model_ref", event.model_ref);
    out.id("node_id", event.node_id);
    out.text("reason", event.reason);
    out.number("replicas_terminated", event.replicas_terminated);
    return std::move(out).build();
}

Event make_event(const PoolModified& event) {
    EventBuilder out("pool.modified", EventClass::control);
    out.actor(event.actor);
    out.id("pool_id", event.pool_id);
    out.list("changes", event.changes);
    return std::move(out).build();
}

Event make_event(const NodeRegistered& event) {
    EventBuilder out("node.registered", EventClass::control);
    out.actor(event.actor);
    out.id("node_id", event.node_id);
    out.number("gpu_count", event.gpu_count);
    out.number("total_vram_gb", event.total_vram_gb);
    out.list("capabilities", event.capabilities);
    return std::move(out).build();
}

Event make_event(const NodeDeregistered& event) {
    EventBuilder out("node.deregistered", EventClass::control);
    out.actor(event.actor);
    out.id("node_id", event.node_id);
    out.text("reason", event.reason);
    out.list("pools_affected", event.pools_affected);
    return std::move(out).build();
}

Event make_event(const VramSealed& event) {
    EventBuilder out("vram.sealed", EventClass::control);
    out.id("shard_id", event.shard_id);
    out.number("gpu_device", event.gpu_device);
    out.number("vram_bytes", event.vram_bytes);
    out.id("digest", event.digest);
    out.id("worker_id", event.worker_id);
    return std::move(out).build();
}

Event make_event(const SealVerified& event) {
    EventBuilder out("seal.verified", EventClass::control);
    out.id("shard_id", event.shard_id);
    out.id("worker_id", event.worker_id);
    return std::move(out).build();
}

Event make_event(const SealVerificationFailed& event) {
    EventBuilder out("seal.verification_failed", EventClass::security);
    out.id("shard_id", event.shard_id);
    out.text("reason", event.reason);
    out.id("expected_digest", event.expected_digest);
    out.id("actual_digest", event.actual_digest);
    out.id("worker_id", event.worker_id);
    out.text("severity", event.severity);
    return std::move(out).build();
}

Event make_event(const VramAllocated& event) {
    EventBuilder out("vram.allocated", EventClass::control);
    out.number("requested_bytes", event.requested_bytes);
    out.number("allocated_bytes", event.allocated_bytes);
    out.number("available_bytes", event.available_bytes);
    out.number("used_bytes", event.used_bytes);
    out.number("gpu_device", event.gpu_device);
    out.id("worker_id", event.worker_id);
    return std::move(out).build();
}

Event make_event(const VramAllocationFailed& event) {
    EventBuilder out("vram.allocation_failed", EventClass::control);
    out.number("requested_bytes", event.requested_bytes);
    out.number("available_bytes", event.available_bytes);
    out.text("reason", event.reason);
    out.number("gpu_device", event.gpu_device);
    out.id("worker_id", event.worker_id);
    return std::move(out).build();
}

Event make_event(const VramDeallocated& event) {
    EventBuilder out("vram.deallocated", EventClass::control);
    out.id("shard_id", event.shard_id);
    out.number("freed_bytes", event.freed_bytes);
    out.number("remaining_used", event.remaining_used);
    out.number("gpu_device", event.gpu_device);
    out.id("worker_id", event.worker_id);
    return std::move(out).build();
}

Event make_event(const InferenceExecuted& event) {
    EventBuilder out("data.inference_executed", EventClass::inference);
    out.id("customer_id", event.customer_id);
    out.id("job_id", event.job_id);
    out.text("model_ref", event.model_ref);
    out.number("tokens_processed", event.tokens_processed);
    out.id("provider_id", event.provider_id);
    add_outcome(out, event.outcome);
    return std::move(out).build();
}

Event make_event(const ModelAccessed& event) {
    EventBuilder out("data.model_accessed", EventClass::inference);
    out.id("customer_id", event.customer_id);
    out.text("model_ref", event.model_ref);
    out.text("access_type", event.access_type);
    out.id("provider_id", event.provider_id);
    return std::move(out).build();
}

Event make_event(const DataDeleted& event) {
    EventBuilder out("data.deleted", EventClass::control);
    out.id("customer_id", event.customer_id);
    out.list("data_types", event.data_types);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const GdprAccessRequest& event) {
    EventBuilder out("compliance.gdpr_data_access_request", EventClass::control);
    out.id("customer_id", event.customer_id);
    out.text("requester", event.requester);
    out.list("scope", event.scope);
    return std::move(out).build();
}

Event make_event(const GdprExport& event) {
    EventBuilder out("compliance.gdpr_data_export", EventClass::control);
    out.id("customer_id", event.customer_id);
    out.list("data_types", event.data_types);
    out.text("export_format", event.export_format);
    out.id("file_hash", event.file_hash);
    return std::move(out).build();
}

Event make_event(const GdprErasure& event) {
    EventBuilder out("compliance.gdpr_right_to_erasure", EventClass::control);
    out.id("customer_id", event.customer_id);
    out.text("completed_at", event.completed_at);
    out.list("data_types_deleted", event.data_types_deleted);
    return std::move(out).build();
}

} // namespace rbee::audit
