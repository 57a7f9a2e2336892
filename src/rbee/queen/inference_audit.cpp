#include "rbee/queen/inference_audit.hpp"

#include "rbee/api/audit_hold.hpp"
#include "rbee/audit/events.hpp"

#include <chrono>
#include <cstdint>

namespace rbee::queen {

void InferenceAudit::record_started(http::Exchange& exchange, std::string_view model) {
    api::record_and_hold(
        exchange,
        *logger_,
        audit::make_event(audit::InferenceStart{
            .actor = {.user_id = exchange.actor},
            .model_ref = model,
            .endpoint = exchange.head().path,
            .correlation_id = exchange.correlation_id(),
        })
    );
}

void InferenceAudit::record_assigned(http::Exchange& exchange, const Worker& worker) {
    api::record_and_hold(
        exchange,
        *logger_,
        audit::make_event(audit::WorkerAssigned{
            .worker_id = worker.info.id,
            .model_ref = worker.info.model_ref,
            .node = worker.hive,
            .correlation_id = exchange.correlation_id(),
        })
    );
}

void InferenceAudit::record_ended(const http::Exchange& exchange, const End& end) {
    using Kind = audit::Outcome::Kind;
    const bool good = end.outcome == "ok";
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(end.took).count();
    logger_->record(audit::make_event(audit::InferenceComplete{
        .worker_id = end.worker_id,
        .model_ref = end.model,
        .duration_ms = static_cast<std::uint64_t>(ms),
        .outcome =
            {.kind = good ? Kind::success : Kind::failure, .reason = good ? "" : end.outcome},
        .correlation_id = exchange.correlation_id(),
    }));
}

} // namespace rbee::queen
