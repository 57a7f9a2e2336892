#include "rbee/domain/placement.hpp"

#include <algorithm>
#include <compare>
#include <vector>

namespace rbee::domain {
namespace {

bool has_room(const Candidate& candidate, const Wanted& wanted) {
    return candidate.usable && candidate.in_flight < candidate.slots_total &&
           suits(candidate, wanted);
}

/// Compares in_flight / slots_total without rounding.
std::strong_ordering by_load(const Candidate& a, const Candidate& b) {
    return std::uint64_t{a.in_flight} * b.slots_total <=>
           std::uint64_t{b.in_flight} * a.slots_total;
}

std::uint64_t requests_on(std::span<const Candidate> candidates, std::string_view hive) {
    std::uint64_t sum = 0;
    for (const Candidate& candidate : candidates) {
        sum += candidate.hive == hive ? candidate.in_flight : 0;
    }
    return sum;
}

} // namespace

bool suits(const Candidate& candidate, const Wanted& wanted) {
    return (wanted.hive.empty() || wanted.hive == candidate.hive) &&
           std::ranges::find(candidate.names, wanted.model) != candidate.names.end();
}

std::optional<std::size_t>
choose_worker(std::span<const Candidate> candidates, const Wanted& wanted, std::uint64_t turn) {
    std::vector<std::size_t> best;
    std::uint64_t best_hive = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        if (!has_room(candidates[i], wanted)) {
            continue;
        }
        const std::uint64_t hive = requests_on(candidates, candidates[i].hive);
        const auto order = best.empty() ? std::strong_ordering::less
                                        : by_load(candidates[i], candidates[best.front()]);
        const bool better = order < 0 || (order == 0 && hive < best_hive);
        if (better) {
            best.clear();
        }
        if (better || (order == 0 && hive == best_hive)) {
            best.push_back(i);
            best_hive = hive;
        }
    }
    if (best.empty()) {
        return std::nullopt;
    }
    return best[turn % best.size()];
}

} // namespace rbee::domain
