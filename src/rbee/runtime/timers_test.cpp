#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "support/fake_clock.hpp"
#include "support/fake_timers.hpp"

namespace rbee::runtime {
namespace {

namespace asio = boost::asio;
using std::chrono::seconds;

class TimersTest : public testing::Test {
protected:
    asio::awaitable<void> sleep(Duration duration, std::string name) {
        try {
            co_await timers_.sleep_for(duration);
            log_.push_back(name + " after " + seconds_now());
        } catch (const boost::system::system_error&) {
            log_.push_back(name + " cancelled");
        }
    }
    asio::awaitable<void> wait(Notifier& notifier, Duration limit, std::string name) {
        try {
            const bool notified = co_await notifier.wait_until(clock_.now() + limit);
            log_.push_back(name + (notified ? " notified" : " late"));
        } catch (const boost::system::system_error&) {
            log_.push_back(name + " cancelled");
        }
    }
    std::string seconds_now() {
        return std::to_string(std::chrono::duration_cast<seconds>(clock_.now() - start_).count());
    }
    void spawn(asio::awaitable<void> task) {
        asio::co_spawn(loop_, std::move(task), asio::detached);
        timers_.settle();
    }
    void spawn_cancellable(asio::awaitable<void> task, asio::cancellation_signal& signal) {
        asio::co_spawn(
            loop_, std::move(task), asio::bind_cancellation_slot(signal.slot(), asio::detached)
        );
        timers_.settle();
    }
    using Log = std::vector<std::string>;

    asio::io_context loop_;
    test::FakeClock clock_;
    test::FakeTimers timers_{clock_, loop_};
    TimePoint start_ = clock_.now();
    Log log_;
};

TEST_F(TimersTest, FakeSleepersWakeInOrderAtTheirOwnTime) {
    spawn(sleep(seconds(3), "b"));
    spawn(sleep(seconds(1), "a"));
    spawn(sleep(seconds(9), "c"));
    timers_.advance(seconds(5));
    EXPECT_EQ(log_, (Log{"a after 1", "b after 3"}));
    EXPECT_EQ(timers_.sleeping(), 1U);
    timers_.advance(seconds(5));
    EXPECT_EQ(log_.back(), "c after 9");
    EXPECT_EQ(timers_.sleeping(), 0U);
}

TEST_F(TimersTest, ASleepCanBeCancelled) {
    asio::cancellation_signal signal;
    spawn_cancellable(sleep(seconds(3), "a"), signal);
    signal.emit(asio::cancellation_type::terminal);
    timers_.settle();
    EXPECT_EQ(log_, Log{"a cancelled"});
    EXPECT_EQ(timers_.sleeping(), 0U);
}

TEST_F(TimersTest, NotifyOneWakesTheLongestWaiter) {
    Notifier notifier(timers_);
    spawn(wait(notifier, seconds(9), "a"));
    spawn(wait(notifier, seconds(9), "b"));
    notifier.notify_one();
    timers_.settle();
    EXPECT_EQ(log_, Log{"a notified"});
    EXPECT_EQ(notifier.waiting(), 1U);
    notifier.notify_all();
    timers_.settle();
    EXPECT_EQ(log_, (Log{"a notified", "b notified"}));
}

TEST_F(TimersTest, AWaitEndsAtItsLimit) {
    Notifier notifier(timers_);
    spawn(wait(notifier, seconds(2), "a"));
    spawn(wait(notifier, seconds(4), "b"));
    timers_.advance(seconds(3));
    EXPECT_EQ(log_, Log{"a late"});
    EXPECT_EQ(notifier.waiting(), 1U);
    notifier.notify_one();
    timers_.settle();
    EXPECT_EQ(log_.back(), "b notified");
}

TEST_F(TimersTest, ANotificationIsNotRemembered) {
    Notifier notifier(timers_);
    notifier.notify_one();
    spawn(wait(notifier, seconds(1), "a"));
    timers_.advance(seconds(1));
    EXPECT_EQ(log_, Log{"a late"});
}

TEST_F(TimersTest, ACancelledWaiterLeavesTheQueue) {
    Notifier notifier(timers_);
    asio::cancellation_signal signal;
    spawn_cancellable(wait(notifier, seconds(9), "a"), signal);
    spawn(wait(notifier, seconds(9), "b"));
    signal.emit(asio::cancellation_type::terminal);
    timers_.settle();
    notifier.notify_one();
    timers_.settle();
    EXPECT_EQ(log_, (Log{"a cancelled", "b notified"}));
}

TEST_F(TimersTest, ANotificationForACancelledWaiterGoesToTheNext) {
    Notifier notifier(timers_);
    asio::cancellation_signal signal;
    spawn_cancellable(wait(notifier, seconds(9), "a"), signal);
    spawn(wait(notifier, seconds(9), "b"));
    signal.emit(asio::cancellation_type::terminal); // takes effect at the loop's next turn
    notifier.notify_one();
    timers_.settle();
    EXPECT_EQ(log_, (Log{"a cancelled", "b notified"}));
}

TEST_F(TimersTest, TheNotifierMayGoBeforeItsWaiters) {
    {
        Notifier notifier(timers_);
        spawn(wait(notifier, seconds(9), "a"));
    }
    timers_.settle();
    EXPECT_EQ(log_, Log{"a notified"});
}

TEST(SystemTimers, SleepsForRealTime) {
    asio::io_context loop;
    SystemTimers timers(loop.get_executor());
    const TimePoint begin = timers.clock().now();
    asio::co_spawn(loop, timers.sleep_for(std::chrono::milliseconds(20)), asio::detached);
    asio::co_spawn(loop, timers.sleep_until(TimePoint::min()), asio::detached);
    loop.run();
    EXPECT_GE(timers.clock().now() - begin, std::chrono::milliseconds(20));
}

} // namespace
} // namespace rbee::runtime
