#pragma once

#include <chrono>

namespace rbee {

/// CLOCK_BOOTTIME: monotonic like the steady clock, and goes on while the machine sleeps. Deadlines
/// use it: after a laptop has slept, its clients are gone. Thread-safe.
struct BootClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    static constexpr bool is_steady = true;

    [[nodiscard]] static time_point now() noexcept;
};

using BootTime = BootClock::time_point;

} // namespace rbee
