#include "rbee/queen/fleet.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/pki/files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace rbee::queen {
namespace {

std::int64_t unix_seconds(const Clock& clock) {
    return to_unix_ms(clock.wall()) / 1000;
}

void add_name(std::vector<std::string>& names, const std::string& name) {
    if (!name.empty() && std::ranges::find(names, name) == names.end()) {
        names.push_back(name);
    }
}

/// All that the `model` field of a request may say to mean this worker.
std::vector<std::string> names_of(const api::WorkerInfo& info) {
    std::vector<std::string> names;
    add_name(names, info.model);
    add_name(names, info.model_ref);
    if (const auto ref = domain::parse_model_ref(info.model_ref)) {
        add_name(names, ref->to_string());
        add_name(names, ref->model_name());
    }
    return names;
}

/// By our clock: both times of the report are by that of the hive, which may be another.
TimePoint
restart_due(const api::WorkerInfo& info, const api::HiveReport& report, TimePoint received) {
    const auto next = parse_rfc3339(info.next_restart.value_or(""));
    const auto sent = parse_rfc3339(report.timestamp);
    if (info.state != domain::WorkerState::backoff || !next || !sent) {
        return Worker::never_said;
    }
    return received + std::chrono::duration_cast<Duration>(*next - *sent);
}

} // namespace

void Fleet::changed() {
    ++revision_;
    if (changed_) {
        changed_();
    }
}

// Hives
// --------------------------------------------------------------------------------------------

void Fleet::add_hive(const std::string& name, http::Endpoint endpoint) {
    Hive& hive = hives_[name];
    hive.name = name;
    hive.endpoint = std::move(endpoint);
    if (identities_ && hive.endpoint.secure) {
        hive.endpoint.identity = pki::hive_uri(name);
    }
}

bool Fleet::remove_hive(const std::string& name) {
    const bool there = hives_.erase(name) != 0;
    if (there) {
        drop_workers_of(name, {});
        changed();
    }
    return there;
}

void Fleet::apply(api::HiveReport report) {
    const auto found = hives_.find(report.hive_id);
    RBEE_ASSERT(found != hives_.end());
    Hive& hive = found->second;
    hive.available = !hive.misconfigured;
    if (hive.available) {
        hive.reason.clear();
    }
    hive.last_report = clock_.now();
    hive.last_report_unix = unix_seconds(clock_);
    hive.away_since.reset();
    drop_workers_of(hive.name, report.workers);
    const api::HiveReport& latest = hive.report.emplace(std::move(report));
    for (const api::WorkerInfo& info : latest.workers) {
        auto& slot = workers_[info.id];
        if (!slot) {
            slot = std::make_shared<Worker>();
        }
        refresh(*slot, hive, info);
        slot->restart_due = restart_due(info, latest, hive.last_report);
    }
    changed();
}

void Fleet::refresh(Worker& worker, const Hive& hive, const api::WorkerInfo& info) {
    if (worker.state_override && worker.info.state != info.state) {
        worker.state_override.reset();
    }
    if (info.pid && info.pid != worker.info.pid) {
        worker.breaker.reset(); // what another process did says nothing about this one
    }
    worker.info = info;
    worker.hive = hive.name;
    worker.endpoint = hive.endpoint;
    worker.names = names_of(info);
    worker.external = false;
    worker.rbee_hive_url = hive.endpoint.to_string();
    worker.capabilities = {fmt::format("{}:{}", info.backend, info.device)};
    worker.last_seen = hive.last_report;
    worker.last_heartbeat_unix = hive.last_report_unix;
}

void Fleet::drop_workers_of(const std::string& hive, const std::vector<api::WorkerInfo>& but) {
    std::erase_if(workers_, [&](const auto& entry) {
        Worker& worker = *entry.second;
        const bool ours = worker.hive == hive && !worker.external;
        const bool kept = std::ranges::find(but, worker.info.id, &api::WorkerInfo::id) != but.end();
        worker.gone = worker.gone || (ours && !kept);
        return ours && !kept;
    });
}

void Fleet::unreachable(const std::string& name, const std::string& reason) {
    const auto found = hives_.find(name);
    if (found == hives_.end()) {
        return;
    }
    Hive& hive = found->second;
    if (hive.available) {
        hive.away_since = clock_.now();
        wake_at(clock_.now() + return_max);
    }
    hive.available = false;
    hive.reason = reason;
    changed();
}

void Fleet::misconfigured(const std::string& name) {
    const auto found = hives_.find(name);
    if (found != hives_.end()) {
        found->second.misconfigured = true;
        unreachable(name, "misconfigured: it refuses the token of this queen");
    }
}

void Fleet::accepted(const std::string& name) {
    const auto found = hives_.find(name);
    if (found != hives_.end()) {
        found->second.misconfigured = false;
    }
}

const Hive* Fleet::find_hive(std::string_view name) const {
    const auto found = hives_.find(name);
    return found == hives_.end() ? nullptr : &found->second;
}

// Workers
// ------------------------------------------------------------------------------------------

Result<bool> Fleet::register_worker(WorkerRegistration registration) {
    auto& slot = workers_[registration.info.id];
    const bool is_new = !slot;
    if (!is_new) {
        // A worker that its hive reports stays the hive's; the same owner may say it again.
        const bool same =
            slot->rbee_hive_url == registration.rbee_hive_url &&
            (registration.info.url.empty() || slot->info.url == registration.info.url);
        if (!same) {
            return fail(
                Errc::conflict,
                "a worker of this id is registered by another owner",
                "WORKER_ALREADY_REGISTERED"
            );
        }
    } else {
        slot = std::make_shared<Worker>();
        slot->external = true;
    }
    Worker& worker = *slot;
    worker.last_seen = clock_.now();
    worker.last_heartbeat_unix = unix_seconds(clock_);
    if (worker.external) {
        const std::string& target =
            registration.info.url.empty() ? registration.rbee_hive_url : registration.info.url;
        if (auto endpoint = http::parse_endpoint(target)) {
            worker.endpoint = std::move(*endpoint);
        }
        worker.info = std::move(registration.info);
        worker.hive = std::move(registration.hive);
        worker.rbee_hive_url = std::move(registration.rbee_hive_url);
        worker.capabilities = std::move(registration.capabilities);
        worker.names = names_of(worker.info);
        for (const std::string& model : registration.models_loaded) {
            add_name(worker.names, model);
        }
        worker.state_override.reset();
    }
    changed();
    return is_new;
}

Result<void> Fleet::set_state(const std::string& id, domain::WorkerState state) {
    const auto found = workers_.find(id);
    if (found == workers_.end()) {
        return fail(Errc::not_found, "no worker of this id is registered", "WORKER_NOT_FOUND");
    }
    found->second->state_override = state;
    changed();
    return {};
}

Result<void> Fleet::heartbeat(const std::string& id) {
    const auto found = workers_.find(id);
    if (found == workers_.end()) {
        return fail(Errc::not_found, "no worker of this id is registered", "WORKER_NOT_FOUND");
    }
    found->second->last_seen = clock_.now();
    found->second->last_heartbeat_unix = unix_seconds(clock_);
    return {};
}

bool Fleet::remove_worker(const std::string& id) {
    const auto found = workers_.find(id);
    if (found == workers_.end()) {
        return false;
    }
    found->second->gone = true;
    workers_.erase(found);
    changed();
    return true;
}

std::shared_ptr<const Worker> Fleet::find_worker(const std::string& id) const {
    const auto found = workers_.find(id);
    return found == workers_.end() ? nullptr : found->second;
}

std::vector<std::string> Fleet::sweep() {
    std::vector<std::string> lines;
    const TimePoint now = clock_.now();
    for (auto& [name, hive] : hives_) {
        if (hive.available && now - hive.last_report > hive_silence_max) {
            hive.available = false;
            hive.reason = "silent for more than 45 s";
            lines.push_back(fmt::format("hive {} is silent for more than 45 s", name));
        }
    }
    std::erase_if(workers_, [&](const auto& entry) {
        Worker& worker = *entry.second;
        const Duration silence = now - worker.last_seen;
        if (!worker.external || silence <= silence_max_) {
            return false;
        }
        // Stale: no new work. One that works for somebody stays until that ends.
        worker.state_override = domain::WorkerState::unhealthy;
        worker.gone = worker.in_flight == 0 || silence > silence_max_ + stale_but_busy_max;
        if (worker.gone) {
            const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(silence_max_);
            lines.push_back(
                fmt::format("worker {} is silent for more than {} s", entry.first, seconds.count())
            );
        }
        return worker.gone;
    });
    if (!lines.empty()) {
        changed();
    }
    return lines;
}

} // namespace rbee::queen
