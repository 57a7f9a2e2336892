#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace rbee::runtime {
namespace {

namespace asio = boost::asio;

class TaskGroupTest : public testing::Test {
protected:
    TaskGroup::Report report() {
        return [this](std::string_view name, const std::exception_ptr& failure) {
            try {
                std::rethrow_exception(failure);
            } catch (const std::exception& error) {
                failures_.push_back(std::string(name) + ": " + error.what());
            }
        };
    }
    asio::awaitable<void> sleep_for_ever() {
        co_await timers_.sleep_until(TimePoint::max());
        ++finished_;
    }
    asio::awaitable<void> finish() {
        ++finished_;
        co_return;
    }
    asio::awaitable<void> fail_now() {
        throw std::runtime_error("broken");
        co_return;
    }
    asio::awaitable<void> clean_up_when_cancelled() {
        try {
            co_await timers_.sleep_until(TimePoint::max());
        } catch (const std::exception&) {
            cleaned_ = true;
        }
    }
    asio::awaitable<void> stubborn(Notifier& may_end) {
        co_await clean_up_when_cancelled();
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await may_end.wait();
        ++finished_;
    }
    asio::awaitable<void> stop(TaskGroup& group) {
        co_await group.stop();
        stopped_ = true;
    }

    asio::io_context loop_;
    SystemTimers timers_{loop_.get_executor()};
    std::vector<std::string> failures_;
    int finished_ = 0;
    bool cleaned_ = false;
    bool stopped_ = false;
};

TEST_F(TaskGroupTest, TasksThatEndLeaveTheGroup) {
    TaskGroup group(loop_.get_executor(), report());
    EXPECT_TRUE(group.start(finish(), "a"));
    EXPECT_TRUE(group.start(finish(), "b"));
    loop_.run();
    EXPECT_EQ(group.count(), 0U);
    EXPECT_EQ(finished_, 2);
    EXPECT_TRUE(failures_.empty());
}

TEST_F(TaskGroupTest, AFailureIsReportedAndHarmsNobodyElse) {
    TaskGroup group(loop_.get_executor(), report());
    group.start(fail_now(), "heartbeat");
    group.start(finish(), "other");
    loop_.run();
    EXPECT_EQ(failures_, std::vector<std::string>{"heartbeat: broken"});
    EXPECT_EQ(finished_, 1);
    EXPECT_EQ(group.count(), 0U);
}

TEST_F(TaskGroupTest, StopCancelsAndJoins) {
    TaskGroup group(loop_.get_executor(), report());
    group.start(sleep_for_ever(), "a");
    group.start(clean_up_when_cancelled(), "b");
    loop_.poll();
    EXPECT_EQ(group.count(), 2U);
    asio::co_spawn(loop_, stop(group), asio::detached);
    loop_.restart();
    loop_.run();
    EXPECT_TRUE(stopped_);
    EXPECT_TRUE(cleaned_);
    EXPECT_EQ(finished_, 0);
    EXPECT_EQ(group.count(), 0U);
    EXPECT_TRUE(failures_.empty()) << "its own cancellation is no failure";
}

TEST_F(TaskGroupTest, StopReachesATaskThatHasNotBegun) {
    TaskGroup group(loop_.get_executor(), report());
    group.start(sleep_for_ever(), "a");
    asio::co_spawn(loop_, stop(group), asio::detached);
    loop_.run();
    EXPECT_TRUE(stopped_);
    EXPECT_EQ(finished_, 0);
}

TEST_F(TaskGroupTest, NothingStartsAfterStop) {
    TaskGroup group(loop_.get_executor(), report());
    asio::co_spawn(loop_, stop(group), asio::detached);
    loop_.run();
    EXPECT_TRUE(stopped_);
    EXPECT_FALSE(group.start(finish(), "late"));
    loop_.restart();
    loop_.run();
    EXPECT_EQ(finished_, 0);
}

TEST_F(TaskGroupTest, StopJoinsAlsoWhenItsCallerIsCancelled) {
    TaskGroup group(loop_.get_executor(), report());
    Notifier may_end(timers_);
    group.start(stubborn(may_end), "stubborn");
    asio::cancellation_signal signal;
    asio::co_spawn(loop_, stop(group), asio::bind_cancellation_slot(signal.slot(), asio::detached));
    loop_.poll();
    signal.emit(asio::cancellation_type::terminal);
    loop_.poll();
    EXPECT_TRUE(cleaned_);
    EXPECT_FALSE(stopped_);
    EXPECT_EQ(group.count(), 1U);
    may_end.notify_all();
    loop_.restart();
    loop_.run();
    EXPECT_EQ(finished_, 1);
    EXPECT_EQ(group.count(), 0U);
}

TEST_F(TaskGroupTest, TheLoopMayGoBeforeTheGroup) {
    auto loop = std::make_unique<asio::io_context>();
    SystemTimers timers(loop->get_executor());
    auto group = std::make_unique<TaskGroup>(loop->get_executor(), report());
    group->start(timers.sleep_until(TimePoint::max()), "a");
    loop->poll();
    EXPECT_EQ(group->count(), 1U);
    loop.reset();
    EXPECT_EQ(group->count(), 0U);
    group.reset();
}

TEST_F(TaskGroupTest, DyingOverRunningTasksStopsTheProgram) {
    EXPECT_DEATH(
        {
            TaskGroup group(loop_.get_executor(), report());
            group.start(sleep_for_ever(), "a");
            loop_.poll();
        },
        ""
    );
}

} // namespace
} // namespace rbee::runtime
