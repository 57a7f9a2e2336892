#include "rbee/hive/worker_registry.hpp"

#include "rbee/base/assert.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace rbee::hive {

using domain::WorkerState;

void WorkerRegistry::show_requests(Entry& entry) {
    const auto earliest = entry.requests.earliest();
    entry.info.active_requests = static_cast<std::uint32_t>(entry.requests.size());
    entry.info.deadline = earliest ? std::optional(to_rfc3339(*earliest)) : std::nullopt;
}

std::unexpected<Error>
WorkerRegistry::wrong_state(const api::WorkerInfo& info, std::string_view what) {
    return fail(
        Errc::conflict,
        fmt::format("worker {} is {} and {}", info.id, domain::to_string(info.state), what)
    );
}

WorkerRegistry::Lease& WorkerRegistry::Lease::operator=(Lease&& other) noexcept {
    if (this != &other) {
        reset();
        registry_ = std::exchange(other.registry_, nullptr);
        id_ = std::move(other.id_);
        generation_ = other.generation_;
        slot_ = other.slot_;
        tracked_ = std::exchange(other.tracked_, std::nullopt);
    }
    return *this;
}

void WorkerRegistry::Lease::track(std::string request_id, Duration left) {
    RBEE_ASSERT(registry_ != nullptr && !tracked_);
    const auto found = registry_->entries_.find(id_);
    if (found == registry_->entries_.end() || found->second.generation != generation_) {
        return;
    }
    const WallTime deadline =
        registry_->clock_.wall() + std::chrono::duration_cast<WallTime::duration>(left);
    tracked_ = found->second.requests.add(std::move(request_id), deadline);
    show_requests(found->second);
}

void WorkerRegistry::Lease::reset() {
    if (WorkerRegistry* registry = std::exchange(registry_, nullptr)) {
        registry->give_back(*this);
    }
}

void WorkerRegistry::started(api::WorkerInfo info) {
    RBEE_ASSERT(!info.id.empty());
    Entry entry;
    entry.started = clock_.now();
    entry.progressed = entry.started;
    info.state = WorkerState::loading;
    info.slots_available = 0;
    info.load_fraction = 0;
    info.started_at = to_rfc3339(clock_.wall());
    info.last_activity = info.started_at;
    const std::string id = info.id;
    if (const auto before = entries_.find(id); before != entries_.end()) {
        const Entry& old = before->second;
        RBEE_ASSERT(!old.info.pid);
        entry.generation = old.generation;
        entry.keep_alive = old.keep_alive;
        info.restart_count = old.info.restart_count + 1;
        info.last_restart = info.started_at;
        info.last_exit = old.info.last_exit;
        info.last_activity = old.info.last_activity;
    }
    entry.info = std::move(info);
    entries_.insert_or_assign(id, std::move(entry));
    changed();
}

Result<void> WorkerRegistry::called_back(std::string_view id) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    (*entry)->called_back = true;
    (*entry)->progressed = clock_.now();
    (*entry)->info.last_heartbeat = to_rfc3339(clock_.wall());
    return {};
}

Result<void> WorkerRegistry::load_progressed(std::string_view id, double fraction) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    if (info.state != WorkerState::loading) {
        return wrong_state(info, "does not load");
    }
    // Only what moves counts as progress: a stuck load repeats its last number.
    if (fraction > info.load_fraction) {
        info.load_fraction = std::min(fraction, 1.0);
        (*entry)->progressed = clock_.now();
    }
    return {};
}

Result<void> WorkerRegistry::became_ready(std::string_view id, std::uint32_t slots_total) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    if (!domain::alive(info.state) || info.state == WorkerState::dying) {
        return wrong_state(info, "cannot become ready");
    }
    (*entry)->called_back = true;
    if (slots_total > 0) {
        info.slots_total = slots_total;
    }
    (*entry)->ready = true;
    info.last_heartbeat = to_rfc3339(clock_.wall());
    if (info.state == WorkerState::loading) {
        info.state = WorkerState::idle;
        info.reason.clear();
        info.load_fraction = 1;
        info.last_activity = *info.last_heartbeat;
        (*entry)->active = clock_.now();
    }
    settle(**entry);
    changed();
    return {};
}

Result<void> WorkerRegistry::load_failed(std::string_view id, std::string reason) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    (*entry)->called_back = true;
    if (info.state != WorkerState::loading) {
        return wrong_state(info, "does not load");
    }
    end(**entry, WorkerState::failed, std::move(reason));
    return {};
}

Result<void> WorkerRegistry::stop_requested(std::string_view id, std::string reason) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    if (!domain::alive(info.state)) {
        return wrong_state(info, "cannot be stopped");
    }
    (*entry)->returns = false; // whoever wants it to go has the last word
    if (info.state == WorkerState::draining) {
        return {};
    }
    (*entry)->stop_reason = reason;
    if (info.state != WorkerState::dying) {
        info.state = WorkerState::draining;
    }
    info.reason = std::move(reason);
    info.slots_available = 0;
    changed();
    return {};
}

Result<void> WorkerRegistry::heartbeat(std::string_view id) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    (*entry)->called_back = true;
    (*entry)->info.last_heartbeat = to_rfc3339(clock_.wall());
    return {};
}

Result<void> WorkerRegistry::health_passed(std::string_view id, std::uint64_t memory_bytes) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    info.failed_health_checks = 0;
    if (memory_bytes > 0) {
        info.memory_bytes = memory_bytes;
    }
    if (info.state == WorkerState::unhealthy && !(*entry)->misconfigured) {
        info.state = WorkerState::idle;
        info.reason.clear();
        settle(**entry);
        changed();
    }
    return {};
}

Result<std::uint32_t> WorkerRegistry::health_failed(std::string_view id, const std::string& why) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    ++info.failed_health_checks;
    if (domain::routable(info.state) && info.failed_health_checks >= limits_.health_failures_max) {
        info.state = WorkerState::unhealthy;
        info.reason =
            fmt::format("{} health checks failed in a row: {}", info.failed_health_checks, why);
        info.slots_available = 0;
        changed();
    }
    return info.failed_health_checks;
}

Result<void> WorkerRegistry::misconfigured(std::string_view id) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    if (!domain::alive(info.state) || info.state == WorkerState::draining ||
        info.state == WorkerState::dying) {
        return wrong_state(info, "takes no requests anyway");
    }
    (*entry)->misconfigured = true;
    info.state = WorkerState::unhealthy;
    info.reason = "misconfigured: it refuses the token of its hive";
    info.slots_available = 0;
    changed();
    return {};
}

Result<WorkerRegistry::Lease> WorkerRegistry::take(std::string_view id, bool slot) {
    const auto found = require(id);
    if (!found) {
        return error_of(found);
    }
    Entry& entry = **found;
    if (!domain::routable(entry.info.state)) {
        return fail(
            Errc::unavailable,
            fmt::format("worker {} is {}", entry.info.id, domain::to_string(entry.info.state)),
            "WORKER_NOT_READY"
        );
    }
    if (slot && entry.in_flight >= entry.info.slots_total) {
        return fail(
            Errc::busy, fmt::format("all {} slots of the worker are busy", entry.info.slots_total)
        );
    }
    entry.info.last_activity = to_rfc3339(clock_.wall());
    entry.active = clock_.now();
    if (slot) {
        ++entry.in_flight;
        settle_and_tell(entry);
    }
    return Lease(*this, entry, slot);
}

void WorkerRegistry::give_back(const Lease& lease) {
    const auto found = entries_.find(lease.id_);
    if (found == entries_.end() || found->second.generation != lease.generation_) {
        return; // its process went while the request was on its way out
    }
    Entry& entry = found->second;
    entry.info.last_activity = to_rfc3339(clock_.wall());
    entry.active = clock_.now();
    if (lease.tracked_) {
        entry.requests.remove(*lease.tracked_);
        show_requests(entry);
    }
    if (lease.slot_) {
        RBEE_ASSERT(entry.in_flight > 0);
        --entry.in_flight;
        settle_and_tell(entry);
    }
    if (entry.resting() && rest_observer_) {
        rest_observer_(entry);
    }
}

void WorkerRegistry::keep(std::string_view id, Duration keep_alive) {
    if (const auto entry = require(id)) {
        (*entry)->keep_alive = keep_alive;
    }
}

void WorkerRegistry::settle_and_tell(Entry& entry) {
    const WorkerState before = entry.info.state;
    settle(entry);
    // Each request changes the free slots; only the last and the first free one are news.
    if (entry.info.state != before) {
        changed();
    }
}

void WorkerRegistry::settle(Entry& entry) {
    api::WorkerInfo& info = entry.info;
    if (!domain::routable(info.state)) {
        info.slots_available = 0;
        return;
    }
    info.slots_available = info.slots_total - std::min(entry.in_flight, info.slots_total);
    info.state = info.slots_available == 0 ? WorkerState::busy : WorkerState::idle;
}

void WorkerRegistry::prune() {
    std::vector<std::pair<TimePoint, std::string>> ended;
    for (const auto& [id, entry] : entries_) {
        // A worker that failed but whose process is still there must not vanish.
        if (entry.ended && !entry.info.pid) {
            ended.emplace_back(*entry.ended, id);
        }
    }
    std::ranges::sort(ended, std::greater());
    const TimePoint oldest = clock_.now() - limits_.ended_kept;
    bool any = false;
    for (std::size_t i = 0; i < ended.size(); ++i) {
        if (i >= limits_.ended_max || ended[i].first <= oldest) {
            entries_.erase(ended[i].second);
            any = true;
        }
    }
    if (any) {
        changed();
    }
}

const WorkerRegistry::Entry* WorkerRegistry::find(std::string_view id) const {
    const auto found = entries_.find(id);
    return found == entries_.end() ? nullptr : &found->second;
}

std::vector<api::WorkerInfo> WorkerRegistry::list() const {
    std::vector<const Entry*> order;
    order.reserve(entries_.size());
    for (const auto& [id, entry] : entries_) {
        order.push_back(&entry);
    }
    // Not stable_sort: its buffer is deprecated in libstdc++ 12.
    std::ranges::sort(order, {}, [](const Entry* entry) {
        return std::pair(entry->started, std::string_view(entry->info.id));
    });
    std::vector<api::WorkerInfo> out;
    out.reserve(order.size());
    for (const Entry* entry : order) {
        out.push_back(entry->info);
    }
    return out;
}

std::size_t WorkerRegistry::alive_count() const {
    return static_cast<std::size_t>(std::ranges::count_if(entries_, [](const auto& item) {
        return domain::alive(item.second.info.state) || item.second.info.pid.has_value();
    }));
}

Result<WorkerRegistry::Entry*> WorkerRegistry::require(std::string_view id) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) {
        return fail(Errc::not_found, "there is no such worker on this hive", "WORKER_NOT_FOUND");
    }
    return &found->second;
}

void WorkerRegistry::changed() const {
    if (observer_) {
        observer_();
    }
}

} // namespace rbee::hive
