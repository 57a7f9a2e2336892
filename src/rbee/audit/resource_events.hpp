#pragma once

#include "rbee/audit/event.hpp"
#include "rbee/audit/events.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rbee::audit {

// Events of behaviour.md 11.4 with their fields. They only view what they are given: build one
// inside the call that records it. An empty text is left out of the record.

// Pools and nodes.

/// pool.created
struct PoolCreated {
    Actor actor = {};
    std::string_view pool_id = {};
    std::string_view model_ref = {};
    std::string_view node_id = {};
    std::uint64_t replicas = 0;
    std::span<const std::uint32_t> gpu_devices = {};
};
[[nodiscard]] Event make_event(const PoolCreated& event);

/// pool.deleted
struct PoolDeleted {
    Actor actor = {};
    std::string_view pool_id = {};
    std::string_view model_ref = {};
    std::string_view node_id = {};
    std::string_view reason = {};
    std::uint64_t replicas_terminated = 0;
};
[[nodiscard]] Event make_event(const PoolDeleted& event);

/// pool.modified
struct PoolModified {
    Actor actor = {};
    std::string_view pool_id = {};
    std::span<const std::string> changes = {};
};
[[nodiscard]] Event make_event(const PoolModified& event);

/// node.registered
struct NodeRegistered {
    Actor actor = {};
    std::string_view node_id = {};
    std::uint64_t gpu_count = 0;
    std::uint64_t total_vram_gb = 0;
    std::span<const std::string> capabilities = {};
};
[[nodiscard]] Event make_event(const NodeRegistered& event);

/// node.deregistered
struct NodeDeregistered {
    Actor actor = {};
    std::string_view node_id = {};
    std::string_view reason = {};
    std::span<const std::string> pools_affected = {};
};
[[nodiscard]] Event make_event(const NodeDeregistered& event);

// Memory of devices.

/// vram.sealed
struct VramSealed {
    std::string_view shard_id = {};
    std::uint64_t gpu_device = 0;
    std::uint64_t vram_bytes = 0;
    std::string_view digest = {};
    std::string_view worker_id = {};
};
[[nodiscard]] Event make_event(const VramSealed& event);

/// seal.verified
struct SealVerified {
    std::string_view shard_id = {};
    std::string_view worker_id = {};
};
[[nodiscard]] Event make_event(const SealVerified& event);

/// seal.verification_failed
struct SealVerificationFailed {
    std::string_view shard_id = {};
    std::string_view reason = {};
    std::string_view expected_digest = {};
    std::string_view actual_digest = {};
    std::string_view worker_id = {};
    std::string_view severity = {};
};
[[nodiscard]] Event make_event(const SealVerificationFailed& event);

/// vram.allocated
struct VramAllocated {
    std::uint64_t requested_bytes = 0;
    std::uint64_t allocated_bytes = 0;
    std::uint64_t available_bytes = 0;
    std::uint64_t used_bytes = 0;
    std::uint64_t gpu_device = 0;
    std::string_view worker_id = {};
};
[[nodiscard]] Event make_event(const VramAllocated& event);

/// vram.allocation_failed
struct VramAllocationFailed {
    std::uint64_t requested_bytes = 0;
    std::uint64_t available_bytes = 0;
    std::string_view reason = {};
    std::uint64_t gpu_device = 0;
    std::string_view worker_id = {};
};
[[nodiscard]] Event make_event(const VramAllocationFailed& event);

/// vram.deallocated
struct VramDeallocated {
    std::string_view shard_id = {};
    std::uint64_t freed_bytes = 0;
    std::uint64_t remaining_used = 0;
    std::uint64_t gpu_device = 0;
    std::string_view worker_id = {};
};
[[nodiscard]] Event make_event(const VramDeallocated& event);

// Data and privacy law.

/// data.inference_executed
struct InferenceExecuted {
    std::string_view customer_id = {};
    std::string_view job_id = {};
    std::string_view model_ref = {};
    std::uint64_t tokens_processed = 0;
    std::string_view provider_id = {};
    Outcome outcome = {};
};
[[nodiscard]] Event make_event(const InferenceExecuted& event);

/// data.model_accessed
struct ModelAccessed {
    std::string_view customer_id = {};
    std::string_view model_ref = {};
    std::string_view access_type = {};
    std::string_view provider_id = {};
};
[[nodiscard]] Event make_event(const ModelAccessed& event);

/// data.deleted
struct DataDeleted {
    std::string_view customer_id = {};
    std::span<const std::string> data_types = {};
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const DataDeleted& event);

/// compliance.gdpr_data_access_request
struct GdprAccessRequest {
    std::string_view customer_id = {};
    std::string_view requester = {};
    std::span<const std::string> scope = {};
};
[[nodiscard]] Event make_event(const GdprAccessRequest& event);

/// compliance.gdpr_data_export
struct GdprExport {
    std::string_view customer_id = {};
    std::span<const std::string> data_types = {};
    std::string_view export_format = {};
    std::string_view file_hash = {};
};
[[nodiscard]] Event make_event(const GdprExport& event);

/// compliance.gdpr_right_to_erasure
struct GdprErasure {
    std::string_view customer_id = {};
    std::string_view completed_at = {};
    std::span<const std::string> data_types_deleted = {};
};
[[nodiscard]] Event make_event(const GdprErasure& event);

} // namespace rbee::audit
