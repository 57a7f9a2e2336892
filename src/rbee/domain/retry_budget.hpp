#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/domain/sliding_count.hpp"

#include <chrono>
#include <cstdint>

namespace rbee::domain {

/// How much of the traffic may be repetition.
struct RetryRules {
    std::uint32_t percent = 10; ///< Of the requests in the window.
    /// So many in the window are allowed all the same: with little traffic a share of it is nothing
    /// at all, and when a full machine dies all its requests come back at once.
    std::uint32_t reserve = 32;
    Duration window = std::chrono::seconds(60);
};

/// Keeps repetitions from making an overload worse: in any window at most `percent` of the requests
/// are sent again, or `reserve` where that is more. Pure; belongs to one event loop.
class RetryBudget {
public:
    explicit RetryBudget(RetryRules rules = {})
        : rules_(rules), requests_(rules.window), retries_(rules.window) {}

    /// A request has come in; its repetitions do not count as requests.
    void request(TimePoint now) { requests_.add(now); }
    /// Takes one repetition out of the budget; false when there is none left.
    [[nodiscard]] bool take(TimePoint now);

private:
    RetryRules rules_;
    SlidingCount requests_;
    SlidingCount retries_;
};

} // namespace rbee::domain
