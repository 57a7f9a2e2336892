#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/domain/placement.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace rbee::domain {

/// The bounded queue in front of the workers: who goes next, who is refused, who waited too long.
/// Pure: no clock, no I/O; belongs to one event loop.
///
///     admit() --> granted
///        |  `---> refused (QUEUE_FULL)
///        `------> waiting --grant()--> granted
///                    |----leave()----> gone (client left, waited too long, no worker can be had)
///
/// Waiters with the same needs are served in the order in which they came. One that cannot be
/// placed never holds up one that wants something else.
class Admission {
public:
    /// Also the place in the line: smaller goes first.
    using Ticket = std::uint64_t;

    struct Limits {
        std::size_t capacity = 100;                  ///< Waiting at the same time, all models.
        Duration wait_max = std::chrono::minutes(5); ///< From admission to a slot.
    };

    struct Waiter {
        Ticket ticket = 0;
        Wanted wanted;
        TimePoint due; ///< Its owner takes it out then.
    };

    /// Takes a slot for the waiter, or says that there is none. Called at most once for each
    /// different need in one pass after it has said no.
    using Place = std::function<bool(const Waiter&)>;

    enum class Outcome { granted, waiting };

    explicit Admission(Limits limits) : limits_(limits) {}

    /// A new place at the end of the line.
    [[nodiscard]] Waiter make_waiter(Wanted wanted, TimePoint now);

    /// Grants at once when nobody with the same needs is ahead and `place` finds a slot; otherwise
    /// lets it wait. Fails with Errc::busy and QUEUE_FULL when `capacity` others wait already.
    [[nodiscard]] Result<Outcome> admit(const Waiter& waiter, const Place& place);

    /// The same for one that had a slot and lost it without having been served: it keeps its old
    /// place in the line, and is never refused.
    [[nodiscard]] Outcome readmit(const Waiter& waiter, const Place& place);

    /// Grants whatever can be granted now, in order, and returns those tickets. To be called after
    /// every event that may have made room.
    [[nodiscard]] std::vector<Ticket> grant(const Place& place);

    /// Takes a waiter out of the line; false when it is not there.
    bool leave(Ticket ticket);

    [[nodiscard]] std::size_t waiting() const { return waiters_.size(); }
    [[nodiscard]] const Limits& limits() const { return limits_; }
    /// Others from now on, for those who come; whoever waits keeps place and time.
    void set_limits(Limits limits) { limits_ = limits; }
    /// Everybody in the line, in order.
    [[nodiscard]] const std::map<Ticket, Waiter>& line() const { return waiters_; }

private:
    [[nodiscard]] bool somebody_ahead(const Waiter& waiter) const;

    Limits limits_;
    Ticket last_ticket_ = 0;
    std::map<Ticket, Waiter> waiters_;
};

} // namespace rbee::domain
