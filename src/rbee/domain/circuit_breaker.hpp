#pragma once

#include "rbee/base/clock.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <string_view>

namespace rbee::domain {

/// When starts of one kind are refused (behaviour.md 12, reliability.md 3 B1).
struct BreakerRules {
    std::uint32_t failures = 5; ///< Within `window`; then it opens. 0 = never by count.
    Duration window = std::chrono::minutes(5);
    Duration cooldown = std::chrono::minutes(5); ///< The first; doubled with each failed trial.
    Duration cooldown_max = std::chrono::minutes(30);
    std::uint32_t jitter_percent = 20;         ///< Of the cooldown, to either side.
    Duration proof = std::chrono::seconds(60); ///< A trial that is up for so long is good.
    Duration calm = std::chrono::hours(1);     ///< Closed for so long halves the cooldown.

    bool operator==(const BreakerRules&) const = default;
};

/// Refuses starts that would most likely fail: those of one model on one device of this hive. Pure:
/// time and random numbers come in. Who starts something asks admit() first and tells what became
/// of it, with the number that admit() gave: 0 while closed, else that of the trial. What is told
/// of an older start cannot end a trial. A time before one that was given already counts as that
/// moment.
class CircuitBreaker {
public:
    enum class State { closed, open, half_open };

    struct Permit {
        bool allowed = false;
        std::uint64_t trial = 0; ///< Of the one start while half open; 0 = an ordinary one.
        TimePoint retry_at = {}; ///< When to ask again, if it was refused.
    };

    explicit CircuitBreaker(BreakerRules rules) : rules_(rules), cooldown_(rules.cooldown) {}

    /// From now on; an opening that has begun ends when it would have.
    void set_rules(const BreakerRules& rules);

    /// Whether something may be started. A yes while half open is given once.
    [[nodiscard]] Permit admit(TimePoint now);
    /// The same question, without taking the trial.
    [[nodiscard]] Permit peek(TimePoint now) const;
    /// A start that was allowed has failed. Tells whether the breaker has opened by it.
    bool failed(std::uint64_t trial, TimePoint now, std::uint64_t random);
    /// A worker has used up its attempts. Tells whether the breaker has opened by it.
    bool trip(TimePoint now, std::uint64_t random);
    /// A start has proved itself. Only a trial closes the breaker; tells whether it did.
    bool succeeded(std::uint64_t trial, TimePoint now);
    /// A start came to nothing, for a reason that says nothing about the next.
    void abandoned(std::uint64_t trial, TimePoint now);
    /// Somebody closes it by hand: all is forgotten.
    void close();

    [[nodiscard]] State state() const { return state_; }
    /// Whether it can be forgotten: closed, and nothing left to remember.
    [[nodiscard]] bool idle(TimePoint now) const;

private:
    void open(TimePoint now, std::uint64_t random);
    void prune(TimePoint now);
    [[nodiscard]] Duration calmed(TimePoint now) const;
    [[nodiscard]] bool on_trial(std::uint64_t trial) const {
        return state_ == State::half_open && trial == trial_;
    }

    BreakerRules rules_;
    State state_ = State::closed;
    std::deque<TimePoint> failures_; ///< While closed, oldest first.
    Duration cooldown_;              ///< Of the next opening, before jitter.
    TimePoint until_;                ///< Open: refuses before. Half open: when to ask again.
    TimePoint closed_since_;
    std::uint64_t trial_ = 0; ///< The last one.
};

/// The state in lower snake case, for logs and metrics.
[[nodiscard]] std::string_view to_string(CircuitBreaker::State state);

} // namespace rbee::domain
