#pragma once

#include "rbee/base/clock.hpp"

#include <atomic>
#include <chrono>

namespace rbee::test {

/// A clock that moves only when told to. Starts at an arbitrary time that is not zero. Thread-safe.
class FakeClock final : public Clock {
public:
    [[nodiscard]] TimePoint now() const override {
        return TimePoint(std::chrono::hours(1000) + passed());
    }
    /// 2026-01-01T00:00:00Z and what has passed.
    [[nodiscard]] WallTime wall() const override {
        return WallTime(std::chrono::seconds(1'767'225'600)) + passed();
    }
    void advance(Duration duration) { passed_ += duration.count(); }

private:
    [[nodiscard]] Duration passed() const { return Duration(passed_.load()); }
    std::atomic<Duration::rep> passed_ = 0;
};

} // namespace rbee::test
