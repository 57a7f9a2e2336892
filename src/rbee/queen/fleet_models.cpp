#include "rbee/domain/model_ref.hpp"
#include "rbee/queen/fleet.hpp"

#include <algorithm>
#include <string_view>

namespace rbee::queen {
namespace {

/// ready over loading over available.
int rank(std::string_view state) {
    return state == "ready" ? 2 : state == "loading" ? 1 : 0;
}

} // namespace

std::map<std::string, KnownModel> Fleet::models() const {
    std::map<std::string, KnownModel> models;
    const auto note = [&](const api::ModelEntry& entry, const std::string& hive) {
        KnownModel& known = models[entry.id];
        if (known.entry.id.empty() || rank(entry.state) > rank(known.entry.state)) {
            const std::uint64_t size = std::max(known.entry.size_bytes, entry.size_bytes);
            known.entry = entry;
            known.entry.size_bytes = size;
        }
        if (!hive.empty() && std::ranges::find(known.hives, hive) == known.hives.end()) {
            known.hives.push_back(hive);
        }
    };
    for (const auto& [name, hive] : hives_) {
        if (hive.available && hive.report) {
            for (api::ModelEntry entry : hive.report->models) {
                // Whether it is loaded follows from the workers below, which are fresher.
                entry.state = "available";
                note(entry, name);
            }
        }
    }
    for (const auto& [id, worker] : workers_) {
        const domain::WorkerState state = worker->state();
        if (!domain::alive(state) || !reachable(*worker) || worker->names.empty()) {
            continue;
        }
        const std::string& short_name = worker->names.front();
        note(
            {short_name, worker->info.model_ref, 0, domain::routable(state) ? "ready" : "loading"},
            worker->hive
        );
        ++models[short_name].workers;
    }
    return models;
}

bool Fleet::knows_model(const std::string& model) const {
    if (const auto ref = domain::parse_model_ref(model);
        ref && ref->provider == domain::ModelRef::Provider::file) {
        return true;
    }
    const bool at_hive = std::ranges::any_of(hives_, [&](const auto& entry) {
        const auto& report = entry.second.report;
        return report && std::ranges::any_of(report->models, [&](const api::ModelEntry& known) {
                   return known.id == model || (!known.ref.empty() && known.ref == model);
               });
    });
    return at_hive || std::ranges::any_of(workers_, [&](const auto& entry) {
               return std::ranges::find(entry.second->names, model) != entry.second->names.end();
           });
}

} // namespace rbee::queen
