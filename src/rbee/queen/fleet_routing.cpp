#include "rbee/base/assert.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/queen/fleet.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace rbee::queen {
namespace {

bool names_model(const api::ModelEntry& entry, const std::string& model) {
    return entry.id == model || (!entry.ref.empty() && entry.ref == model);
}

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

void Fleet::wake_at(TimePoint due) const {
    if (due_) {
        due_(due);
    }
}

// Which worker
// -----------------------------------------------------------------------------------------

bool Fleet::reachable(const Worker& worker) const {
    const Hive* hive = find_hive(worker.hive);
    return hive != nullptr ? hive->available : worker.external;
}

bool Fleet::returning(const Worker& worker) const {
    const Hive* hive = find_hive(worker.hive);
    return hive != nullptr && !hive->available && !hive->misconfigured && hive->away_since &&
           clock_.now() - *hive->away_since < return_max;
}

bool Fleet::usable(const Worker& worker) const {
    return domain::routable(worker.state()) && reachable(worker) &&
           !worker.endpoint.to_string().empty() && worker.held_until <= clock_.now();
}

std::shared_ptr<Worker> Fleet::take(const domain::Wanted& wanted) {
    const TimePoint now = clock_.now();
    std::vector<domain::Candidate> candidates;
    std::vector<std::shared_ptr<Worker>> owners;
    candidates.reserve(workers_.size());
    owners.reserve(workers_.size());
    bool way = false;
    for (const auto& [id, worker] : workers_) {
        const domain::RouteBreaker* hive = breaker_of_hive(*worker);
        const bool admitted = worker->breaker.admits(now) && (hive == nullptr || hive->admits(now));
        candidates.push_back(as_candidate(*worker, admitted && usable(*worker)));
        owners.push_back(worker);
        const bool blocked =
            worker->breaker.blocked(now) || (hive != nullptr && hive->blocked(now));
        way = way || (!blocked && domain::routable(worker->state()) && reachable(*worker) &&
                      domain::suits(candidates.back(), wanted));
    }
    if (!way) {
        // Better a way that may be bad than none at all.
        for (std::size_t i = 0; i < owners.size(); ++i) {
            candidates[i].usable = usable(*owners[i]);
        }
    }
    const auto chosen = domain::choose_worker(candidates, wanted, turn_);
    if (!chosen) {
        return nullptr;
    }
    degraded_ += way ? 0 : 1;
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

// How calls go
// -----------------------------------------------------------------------------------------

const domain::RouteBreaker* Fleet::breaker_of_hive(const Worker& worker) const {
    const auto found = worker.external ? hives_.end() : hives_.find(worker.hive);
    return found == hives_.end() ? nullptr : &found->second.breaker;
}

domain::RouteBreaker* Fleet::breaker_of_hive(const Worker& worker) {
    const auto found = worker.external ? hives_.end() : hives_.find(worker.hive);
    return found == hives_.end() ? nullptr : &found->second.breaker;
}

Fleet::Route Fleet::begin_call(Worker& worker) {
    domain::RouteBreaker* hive = breaker_of_hive(worker);
    const TimePoint now = clock_.now();
    return {
        worker.breaker.begin(now), hive == nullptr ? domain::RouteBreaker::Pass() : hive->begin(now)
    };
}

void Fleet::fault(domain::RouteBreaker& breaker, domain::RouteBreaker::Pass pass, Opening opening) {
    // The middle of the span when nobody gives random numbers.
    const std::uint64_t random = random_ ? random_() : domain::RouteBreaker::no_jitter;
    if (!breaker.failed(pass, clock_.now(), random)) {
        return;
    }
    ++revision_;
    opening.until = breaker.until();
    if (opened_) {
        opened_(opening);
    }
    wake_at(opening.until);
}

void Fleet::end_call(Worker& worker, const Route& route, Verdict verdict) {
    const TimePoint now = clock_.now();
    domain::RouteBreaker* hive = breaker_of_hive(worker);
    const bool hive_failed = verdict == Verdict::hive_fault && hive != nullptr;
    // A worker without a hive is called itself: all that goes wrong is its own.
    if (verdict == Verdict::worker_fault || (verdict == Verdict::hive_fault && !hive_failed)) {
        fault(worker.breaker, route.worker, {"worker", worker.info.id, {}});
    } else if (verdict == Verdict::good) {
        worker.breaker.succeeded(route.worker, now);
    } else {
        worker.breaker.abandoned(route.worker);
    }
    if (hive_failed) {
        fault(*hive, route.hive, {"hive", worker.hive, {}});
    } else if (hive != nullptr && verdict != Verdict::nothing) {
        hive->succeeded(route.hive, now);
    } else if (hive != nullptr) {
        hive->abandoned(route.hive);
    }
}

// Whether there will be one
// -----------------------------------------------------------------------------------------

Fleet::Outlook Fleet::outlook(const domain::Wanted& wanted) const {
    Outlook out;
    const TimePoint now = clock_.now();
    for (const auto& [id, worker] : workers_) {
        if (!domain::suits(as_candidate(*worker, true), wanted) ||
            !(reachable(*worker) || returning(*worker))) {
            continue;
        }
        const domain::WorkerState state = worker->state();
        const TimePoint due = worker->restart_due;
        const bool up = domain::routable(state) || state == domain::WorkerState::unhealthy;
        const bool scheduled = state == domain::WorkerState::backoff && due != Worker::never_said;
        if (up || (domain::coming_back(state) && !scheduled)) {
            out.soon = true;
        } else if (scheduled && due - now < restart_wait_max &&
                   (!out.restarting || due < out.restarting->restart_due)) {
            out.restarting = worker;
        }
    }
    return out;
}

bool Fleet::served(const domain::Wanted& wanted) const {
    const Outlook hope = outlook(wanted);
    return hope.soon || hope.restarting;
}

bool Fleet::promising(const Hive& hive, const std::string& model_ref) const {
    const auto refusal = hive.refuses.find(model_ref);
    const TimePoint now = clock_.now();
    return !hive.breaker.blocked(now) && (refusal == hive.refuses.end() || refusal->second <= now);
}

void Fleet::spawn_refused(const SpawnPlan& plan, Duration time) {
    const auto found = hives_.find(plan.hive);
    if (found == hives_.end()) {
        return;
    }
    const TimePoint now = clock_.now();
    std::erase_if(found->second.refuses, [now](const auto& entry) { return entry.second <= now; });
    found->second.refuses[plan.model_ref] = now + time;
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
        if (spawn_ref.empty()) {
            continue;
        }
        const std::uint64_t memory = hive.report->ram_available_bytes;
        const bool good = promising(hive, spawn_ref);
        if (!best || std::pair(good, memory) > std::pair(best->promising, best_memory)) {
            best = SpawnPlan{name, spawn_ref, good};
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
