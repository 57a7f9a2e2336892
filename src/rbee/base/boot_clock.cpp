#include "rbee/base/boot_clock.hpp"

#include <ctime>

namespace rbee {

BootTime BootClock::now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now); // cannot fail for a clock that exists (Linux 2.6.39)
    return BootTime(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

} // namespace rbee
