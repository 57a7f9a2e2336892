#include "rbee/runtime/deadline_timers.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <vector>

namespace rbee::runtime {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;

class DeadlineTimersTest : public testing::Test {
protected:
    /// Runs until everything that is due now has fired.
    void run_until(std::size_t count) {
        while (fired_.size() < count) {
            loop_.run_one();
        }
    }
    auto note(int what) {
        return [this, what] { fired_.push_back(what); };
    }

    boost::asio::io_context loop_;
    DeadlineTimers timers_{loop_.get_executor()};
    std::vector<int> fired_;
};

TEST_F(DeadlineTimersTest, FiresInTheOrderOfTimeNotOfCalls) {
    const BootTime now = BootClock::now();
    const auto late = timers_.at(now + microseconds(900), note(3));
    const auto soon = timers_.at(now + microseconds(300), note(2));
    const auto past = timers_.at(now - hours(1), note(1));
    run_until(3);
    EXPECT_EQ(fired_, (std::vector{1, 2, 3}));
    EXPECT_GE(BootClock::now(), now + microseconds(900));
    EXPECT_EQ(timers_.size(), 0U);
}

TEST_F(DeadlineTimersTest, AnEntryThatIsGoneDoesNotFire) {
    auto gone = timers_.at(BootTime(), note(1));
    const auto kept = timers_.at(BootTime(), note(2));
    gone.reset();
    run_until(1);
    EXPECT_EQ(fired_, std::vector{2});
}

TEST_F(DeadlineTimersTest, ACallbackMayRemoveOthersAndAddNewOnes) {
    std::optional<DeadlineTimers::Entry> second;
    std::optional<DeadlineTimers::Entry> third;
    const auto first = timers_.at(BootTime(), [&] {
        second.reset();
        third = timers_.at(BootTime(), note(3));
    });
    second = timers_.at(BootTime(microseconds(1)), note(2));
    run_until(1);
    EXPECT_EQ(fired_, std::vector{3});
}

TEST_F(DeadlineTimersTest, RingsAgainAfterTheEarliestWasTakenBack) {
    auto earliest = timers_.at(BootClock::now() + microseconds(100), note(1));
    const auto later = timers_.at(BootClock::now() + microseconds(700), note(2));
    earliest.reset();
    run_until(1);
    EXPECT_EQ(fired_, std::vector{2});
}

TEST_F(DeadlineTimersTest, StopLetsTheLoopEnd) {
    const auto never = timers_.at(BootClock::now() + hours(1), note(1));
    timers_.stop();
    loop_.run();
    EXPECT_TRUE(fired_.empty());
    EXPECT_EQ(timers_.size(), 0U);
}

} // namespace
} // namespace rbee::runtime
