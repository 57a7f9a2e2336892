#pragma once

#include "rbee/base/clock.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace rbee::domain {

/// How often something happened of late, in constant space: the window is cut into six parts that
/// begin at whole multiples of their length, and the current part counts together with the five
/// before it. Pure; a time before one that was given already counts as that moment.
class SlidingCount {
public:
    static constexpr std::size_t parts = 6;

    explicit SlidingCount(Duration window)
        : part_length_(std::max<Duration>(window / parts, Duration(1))) {}

    void add(TimePoint now) {
        move_to(now);
        ++counts_[static_cast<std::size_t>(latest_) % parts];
    }
    [[nodiscard]] std::uint64_t sum(TimePoint now) {
        move_to(now);
        std::uint64_t all = 0;
        for (const std::uint64_t count : counts_) {
            all += count;
        }
        return all;
    }
    void clear() { counts_ = {}; }

private:
    void move_to(TimePoint now) {
        const std::int64_t part = std::max<std::int64_t>(now.time_since_epoch() / part_length_, 0);
        const std::int64_t steps = std::min<std::int64_t>(part - latest_, parts);
        for (std::int64_t step = 1; step <= steps; ++step) {
            counts_[static_cast<std::size_t>(latest_ + step) % parts] = 0;
        }
        latest_ = std::max(latest_, part);
    }

    Duration part_length_;
    std::int64_t latest_ = 0; ///< Number of the current part.
    std::array<std::uint64_t, parts> counts_{};
};

} // namespace rbee::domain
