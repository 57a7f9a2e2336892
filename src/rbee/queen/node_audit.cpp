#include "rbee/queen/node_audit.hpp"

#include "rbee/audit/resource_events.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

namespace rbee::queen {

void record_node(
    audit::Logger* logger,
    const http::Exchange& exchange,
    const std::string& name,
    const Fleet& fleet
) {
    if (logger == nullptr) {
        return;
    }
    constexpr std::uint64_t gb = 1'000'000'000;
    std::vector<std::string> capabilities;
    std::uint64_t gpus = 0;
    std::uint64_t vram_bytes = 0;
    const Hive* hive = fleet.find_hive(name);
    if (hive != nullptr && hive->report) {
        for (const api::BackendInfo& backend : hive->report->backends) {
            capabilities.push_back(fmt::format("{}:{}", backend.backend, backend.device));
            if (backend.backend != "cpu") {
                ++gpus;
                vram_bytes += backend.memory_total_bytes;
            }
        }
    }
    logger->record(audit::make_event(audit::NodeRegistered{
        .actor = {.user_id = exchange.actor},
        .node_id = name,
        .gpu_count = gpus,
        .total_vram_gb = vram_bytes / gb,
        .capabilities = capabilities,
    }));
}

void record_node_gone(
    audit::Logger* logger, const http::Exchange& exchange, const std::string& name
) {
    if (logger == nullptr) {
        return;
    }
    logger->record(audit::make_event(audit::NodeDeregistered{
        .actor = {.user_id = exchange.actor}, .node_id = name, .reason = "asked for"
    }));
}

} // namespace rbee::queen
