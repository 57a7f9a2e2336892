#pragma once

#include "rbee/runtime/timers.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <map>
#include <memory>
#include <utility>

#include "support/fake_clock.hpp"

namespace rbee::test {

/// Timers on a FakeClock: advance() moves the clock and wakes whoever is due. For one event loop.
class FakeTimers final : public runtime::Timers {
public:
    FakeTimers(FakeClock& clock, boost::asio::io_context& loop)
        : clock_(clock), loop_(loop), sleepers_(std::make_shared<Sleepers>()) {}

    [[nodiscard]] const Clock& clock() const override { return clock_; }
    [[nodiscard]] boost::asio::any_io_executor executor() const override {
        return loop_.get_executor();
    }

    [[nodiscard]] std::shared_ptr<void>
    arm(boost::asio::steady_timer& timer, TimePoint due) override {
        if (due <= clock_.now()) {
            timer.expires_at(TimePoint::min());
            return nullptr;
        }
        timer.expires_at(TimePoint::max());
        const auto at = sleepers_->emplace(due, &timer);
        auto sleepers = sleepers_;
        return {nullptr, [sleepers, at](void*) { sleepers->erase(at); }};
    }

    /// Moves the clock to each due time on the way and runs the loop until nothing is ready there,
    /// so that what wakes up sees its own time.
    void advance(Duration duration) {
        settle();
        const TimePoint end = clock_.now() + duration;
        while (!sleepers_->empty() && sleepers_->begin()->first <= end) {
            const TimePoint due = sleepers_->begin()->first;
            if (due > clock_.now()) {
                clock_.advance(due - clock_.now());
            }
            wake(due);
            settle();
        }
        clock_.advance(end - clock_.now());
        settle();
    }

    /// Runs the loop until nothing is ready.
    void settle() {
        loop_.restart();
        while (loop_.poll() > 0) {
        }
    }

    [[nodiscard]] std::size_t sleeping() const { return sleepers_->size(); }

private:
    using Sleepers = std::multimap<TimePoint, boost::asio::steady_timer*>;

    void wake(TimePoint due) {
        const auto [first, last] = sleepers_->equal_range(due);
        for (auto at = first; at != last; ++at) {
            at->second->cancel();
        }
    }

    FakeClock& clock_;
    boost::asio::io_context& loop_;
    std::shared_ptr<Sleepers> sleepers_;
};

} // namespace rbee::test
