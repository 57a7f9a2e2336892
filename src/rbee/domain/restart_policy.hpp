#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/domain/exit_kind.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace rbee::domain {

/// When a worker is started again (behaviour.md 12).
struct RestartRules {
    bool enabled = true;
    std::uint32_t attempts_max = 3; ///< In a row, without a stable time between them.
    Duration base = std::chrono::seconds(1);
    Duration max = std::chrono::seconds(60);
    std::uint32_t jitter_percent = 20;         ///< 0 ... 50; 0 = none.
    Duration stable = std::chrono::minutes(5); ///< In service; then the attempts are forgotten.

    bool operator==(const RestartRules&) const = default;
};

/// The wait before restart number `attempt`, counted from 0: min(base * 2^attempt, max), moved by
/// up to jitter_percent to either side and never outside [base - jitter, max]. In whole
/// milliseconds, uniform if `random` is. Pure; no overflow whatever `attempt` is.
[[nodiscard]] std::chrono::milliseconds
restart_delay(const RestartRules& rules, std::uint32_t attempt, std::uint64_t random);

/// `nominal` moved by up to `percent` of it to either side, in whole milliseconds, uniform if
/// `random` is. Pure.
[[nodiscard]] std::chrono::milliseconds
with_jitter(Duration nominal, std::uint32_t percent, std::uint64_t random);

/// What to do after an end.
struct RestartDecision {
    enum class Action {
        none,      ///< It was asked for, or restarts are off.
        restart,   ///< After `delay`, counted from the end.
        exhausted, ///< All attempts are used up: a matter of the circuit breaker now.
        hopeless,  ///< It would end in the same way.
    };
    Action action = Action::none;
    std::chrono::milliseconds delay{};
    std::uint32_t attempt = 0; ///< From 1, for `restart`; else those that were used.
    std::uint32_t attempts_max = 0;
};

/// The restarts of one worker. Pure: time and random numbers come in, and `now` never goes back.
class RestartPolicy {
public:
    /// What outlives the program.
    struct History {
        std::uint32_t attempts = 0;
        bool out_of_memory = false; ///< Its last unasked end was for lack of memory.
        bool operator==(const History&) const = default;
    };

    explicit RestartPolicy(RestartRules rules) : rules_(rules) {}
    RestartPolicy(RestartRules rules, const History& history) : rules_(rules), history_(history) {}

    /// From now on; the attempts that were used stay so.
    void set_rules(const RestartRules& rules) { rules_ = rules; }
    /// The worker serves from `now` on.
    void ready(TimePoint now) { ready_ = now; }
    /// Its process has ended at `now`.
    [[nodiscard]] RestartDecision exited(ExitKind kind, TimePoint now, std::uint64_t random);
    /// Forgets the attempts if it has been in service for long enough; tells whether it was.
    bool settle(TimePoint now);
    /// Forgets them at once: somebody restarted it by hand, or it has proved itself.
    void forgive() { history_ = {}; }

    [[nodiscard]] const History& history() const { return history_; }
    [[nodiscard]] const RestartRules& rules() const { return rules_; }

private:
    RestartRules rules_;
    History history_;
    std::optional<TimePoint> ready_;
};

} // namespace rbee::domain
