#include "rbee/domain/retry_budget.hpp"

#include <algorithm>

namespace rbee::domain {

bool RetryBudget::take(TimePoint now) {
    constexpr std::uint64_t whole = 100;
    const std::uint64_t share = requests_.sum(now) * rules_.percent / whole;
    if (retries_.sum(now) >= std::max<std::uint64_t>(share, rules_.reserve)) {
        return false;
    }
    retries_.add(now);
    return true;
}

} // namespace rbee::domain
