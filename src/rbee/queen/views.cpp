#include "rbee/queen/views.hpp"

#include "rbee/api/types.hpp"

#include <algorithm>

namespace rbee::queen {

namespace json = boost::json;

namespace {

template <typename T>
json::array texts(const T& items) {
    json::array out;
    for (const auto& item : items) {
        out.emplace_back(item);
    }
    return out;
}

} // namespace

json::object view_of(const Worker& worker) {
    json::object out = api::to_json(worker.info);
    out["state"] = domain::to_string(worker.state());
    out["node"] = worker.hive;
    out["node_name"] = worker.hive;
    out["hive"] = worker.hive;
    out["in_flight"] = worker.in_flight;
    out["route"] = domain::to_string(worker.breaker.state());
    if (!worker.external && domain::routable(worker.state())) {
        // Its hive tells changes of state at once, but not every request that comes and goes; all
        // of them pass here.
        out["slots_available"] =
            worker.info.slots_total - std::min(worker.in_flight, worker.info.slots_total);
        out["active_requests"] = worker.in_flight;
        if (worker.in_flight == 0) {
            out["deadline"] = nullptr;
        }
    }
    out["rbee_hive_url"] = worker.rbee_hive_url;
    out["capabilities"] = texts(worker.capabilities);
    // Names beside the reference: a model may be asked for by either.
    json::array models;
    if (worker.external || domain::routable(worker.state())) {
        for (const std::string& name : worker.names) {
            if (worker.external || name == worker.info.model) {
                models.emplace_back(name);
            }
        }
    }
    out["models_loaded"] = std::move(models);
    out["last_heartbeat_unix"] = worker.last_heartbeat_unix;
    return out;
}

json::object view_of(const Fleet& fleet, const Hive& hive) {
    const auto workers = std::ranges::count_if(fleet.workers(), [&](const auto& entry) {
        return entry.second->hive == hive.name;
    });
    json::object out{
        {"name", hive.name},
        {"url", hive.endpoint.to_string()},
        {"available", hive.available},
        {"reason", hive.reason},
        {"route", domain::to_string(hive.breaker.state())},
        {"last_report_unix", hive.last_report_unix},
        {"workers", workers},
    };
    const api::HiveReport report = hive.report.value_or(api::HiveReport{});
    out["version"] = report.version;
    json::array models;
    for (const api::ModelEntry& model : report.models) {
        models.emplace_back(model.id);
    }
    out["models"] = std::move(models);
    json::array backends;
    for (const api::BackendInfo& backend : report.backends) {
        backends.push_back(api::to_json(backend));
    }
    out["backends"] = std::move(backends);
    out["ram_total_bytes"] = report.ram_total_bytes;
    out["ram_available_bytes"] = report.ram_available_bytes;
    out["disk_total_bytes"] = report.disk_total_bytes;
    out["disk_available_bytes"] = report.disk_available_bytes;
    return out;
}

json::object view_of(const std::string& name, const KnownModel& model) {
    return {
        {"id", name},
        {"object", "model"},
        {"created", 0},
        {"owned_by", "rbee"},
        {"state", model.entry.state},
        {"ref", model.entry.ref},
        {"size_bytes", model.entry.size_bytes},
        {"hives", texts(model.hives)},
        {"workers", model.workers},
    };
}

} // namespace rbee::queen
