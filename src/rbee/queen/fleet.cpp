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

bool names_model(const api::ModelEntry& entry, const std::string& model) {
    return entry.id == model || (!entry.ref.empty() && entry.ref == model);
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
    drop_workers_of(hive.name, report.workers);
    for (const api::WorkerInfo& info : report.workers) {
        auto& slot = workers_[info.id];
        if (!slot) {
            slot = std::make_shared<Worker>();
        }
        Worker& worker = *slot;
        if (worker.state_override && worker.info.state != info.state) {
            worker.state_override.reset();
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
    hive.report = std::move(report);
    changed();
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
    found->second.available = false;
    found->second.reason = reason;
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

// Placement
// ----------------------------------------------------------------------------------------

bool Fleet::reachable(const Worker& worker) const {
    const Hive* hive = find_hive(worker.hive);
    return hive != nullptr ? hive->available : worker.external;
}

bool Fleet::usable(const Worker& worker) const {
    return domain::routable(worker.state()) && reachable(worker) &&
           !worker.endpoint.to_string().empty() && worker.held_until <= clock_.now();
}

namespace {

domain::Candidate as_candidate(const Worker& worker, bool usable) {
    return {
        .worker_id = worker.info.id,
        .hive = worker.hive,
        .names = worker.names,
        .usable = usable,
        .slots_total = worker.info.slots_total,
        .in_flight = worker.in_flight,
    };
}

} // namespace

std::shared_ptr<Worker> Fleet::take(const domain::Wanted& wanted) {
    std::vector<domain::Candidate> candidates;
    std::vector<std::shared_ptr<Worker>> owners;
    candidates.reserve(workers_.size());
    owners.reserve(workers_.size());
    for (const auto& [id, worker] : workers_) {
        candidates.push_back(as_candidate(*worker, usable(*worker)));
        owners.push_back(worker);
    }
    const auto chosen = domain::choose_worker(candidates, wanted, turn_);
    if (!chosen) {
        return nullptr;
    }
    ++turn_;
    Worker& worker = *owners[*chosen];
    ++worker.in_flight;
    RBEE_ASSERT(worker.in_flight <= worker.info.slots_total);
    return owners[*chosen];
}

void Fleet::give_back(Worker& worker) {
    RBEE_ASSERT(worker.in_flight > 0);
    --worker.in_flight;
    if (changed_) {
        changed_();
    }
}

void Fleet::hold(Worker& worker, Duration time) {
    worker.held_until = clock_.now() + time;
}

std::optional<TimePoint> Fleet::next_release() const {
    std::optional<TimePoint> first;
    for (const auto& [id, worker] : workers_) {
        if (worker->held_until > clock_.now() && (!first || worker->held_until < *first)) {
            first = worker->held_until;
        }
    }
    return first;
}

bool Fleet::served(const domain::Wanted& wanted) const {
    return std::ranges::any_of(workers_, [&](const auto& entry) {
        const Worker& worker = *entry.second;
        const domain::WorkerState state = worker.state();
        const bool coming = state == domain::WorkerState::loading || domain::routable(state) ||
                            state == domain::WorkerState::unhealthy;
        return coming && reachable(worker) && domain::suits(as_candidate(worker, true), wanted);
    });
}

Result<Fleet::SpawnPlan> Fleet::plan_spawn(const domain::Wanted& wanted) const {
    std::optional<SpawnPlan> best;
    std::uint64_t best_memory = 0;
    bool some_hive = false;
    const auto ref = domain::parse_model_ref(wanted.model);
    const bool is_file = ref && ref->provider == domain::ModelRef::Provider::file;
    for (const auto& [name, hive] : hives_) {
        if (!hive.available || !hive.report || (!wanted.hive.empty() && wanted.hive != name)) {
            continue;
        }
        some_hive = true;
        std::string spawn_ref = is_file ? ref->to_string() : std::string();
        for (const api::ModelEntry& entry : hive.report->models) {
            if (names_model(entry, wanted.model)) {
                spawn_ref = entry.ref.empty() ? entry.id : entry.ref;
            }
        }
        const std::uint64_t memory = hive.report->ram_available_bytes;
        if (!spawn_ref.empty() && (!best || memory > best_memory)) {
            best = SpawnPlan{name, spawn_ref};
            best_memory = memory;
        }
    }
    if (best) {
        return *best;
    }
    if (some_hive && knows_model(wanted.model)) {
        return fail(
            Errc::unavailable, "no hive that has this model is available now", "HIVE_UNAVAILABLE"
        );
    }
    if (!some_hive) {
        return fail(Errc::unavailable, "no hive is available now", "HIVE_UNAVAILABLE");
    }
    return fail(Errc::not_found, "no hive has this model", "MODEL_NOT_FOUND");
}

} // namespace rbee::queen
