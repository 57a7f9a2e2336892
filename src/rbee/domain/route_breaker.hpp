#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/domain/sliding_count.hpp"

#include <chrono>
#include <cstdint>
#include <string_view>

namespace rbee::domain {

/// When a way is left alone, and for how long (reliability.md 3 B2).
struct RouteRules {
    std::uint32_t in_a_row = 3;       ///< So many faults one after the other open it.
    std::uint32_t calls_min = 10;     ///< With at least so many calls in the window,
    std::uint32_t fault_percent = 50; ///< so many of them being faults open it too.
    Duration window = std::chrono::seconds(60);
    Duration open = std::chrono::seconds(5); ///< Times the number of openings so far.
    Duration open_max = std::chrono::seconds(300);
    std::uint32_t jitter_percent = 20;             ///< Of the time it stays open, either way.
    Duration probe_max = std::chrono::seconds(30); ///< Then the next call may be the probe.
    std::uint32_t ramp_max = 4;                    ///< After so many at once there is no limit.
    Duration forgiven_after = std::chrono::seconds(60); ///< Closed: each takes back one opening.
};

/// The breaker of one way on which requests are sent: a worker, or a hive. It counts faults of the
/// transport, not answers that a client may not like. Pure: time and random numbers come in.
///
///     closed --faults--> open --time--> half_open (one probe) --good--> ramping (1, 2, 4) -->
///     closed
///                         ^------------fault-----'------------fault------'
///
/// Whether the last way is left alone too is for the one who chooses: a call may be begun on a way
/// that is blocked, and when it goes well, that counts as a probe.
/// A result counts only in the state in which its call was begun, so that a late one cannot undo
/// what was found out since.
class RouteBreaker {
public:
    enum class State { closed, open, half_open, ramping };

    /// One call; to be ended once, by succeeded(), failed() or abandoned().
    struct Pass {
        std::uint64_t epoch = 0;
        bool probe = false;
    };

    /// The number that leaves the time as it is.
    static constexpr std::uint64_t no_jitter = 10'000;

    explicit RouteBreaker(RouteRules rules = {})
        : rules_(rules), calls_(rules.window), faults_(rules.window) {}

    /// A call may be begun now.
    [[nodiscard]] bool admits(TimePoint now) const;
    /// Nothing should be sent, however much room there is: open, or waiting for its probe. A way
    /// that is ramping is not blocked, only narrow.
    [[nodiscard]] bool blocked(TimePoint now) const;

    [[nodiscard]] Pass begin(TimePoint now);
    void succeeded(Pass pass, TimePoint now);
    /// Tells whether the breaker has opened by it. `random` is used for the jitter.
    bool failed(Pass pass, TimePoint now, std::uint64_t random);
    /// The call says nothing about the way.
    void abandoned(Pass pass);
    /// What is at the end of the way is new.
    void reset();

    [[nodiscard]] State state() const { return state_; }
    /// Open: when the probe may be sent.
    [[nodiscard]] TimePoint until() const { return until_; }

private:
    void enter(State state);
    void open(TimePoint now, std::uint64_t random);
    void close(TimePoint now);
    [[nodiscard]] bool too_many(TimePoint now);
    [[nodiscard]] bool current(Pass pass) const { return pass.epoch == epoch_; }

    RouteRules rules_;
    State state_ = State::closed;
    std::uint64_t epoch_ = 1; ///< Grows with each change of state and each probe.
    std::uint32_t in_a_row_ = 0;
    SlidingCount calls_;
    SlidingCount faults_;
    std::uint32_t openings_ = 0;
    TimePoint until_;        ///< Open: until then. Half open: when the probe counts as lost.
    TimePoint closed_since_; ///< When it closed last.
    std::uint32_t ramp_limit_ = 1;
    std::uint32_t ramp_running_ = 0;
};

/// The state in lower snake case, for logs and metrics.
[[nodiscard]] std::string_view to_string(RouteBreaker::State state);

} // namespace rbee::domain
