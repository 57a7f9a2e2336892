#include "rbee/worker/lease.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "support/fake_timers.hpp"

namespace rbee::worker {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Time is not real; the hives are processes that do nothing.
class LeaseTest : public testing::Test {
protected:
    LeaseTest() { lease_.follow_lifeline(::dup(lifeline_->child_end())); }
    ~LeaseTest() override {
        asio::co_spawn(loop_, lease_.stop(), asio::detached);
        timers_.settle();
        kill_hive();
    }
    /// The notice of a hive that runs.
    HiveNotice start_hive() {
        hive_ = ::fork();
        if (hive_ == 0) {
            ::close_range(3, ~0U, 0); // above all the lifeline's other end
            ::sleep(100);
            ::_exit(0);
        }
        return {"http://127.0.0.1:1", hive_, process::start_ticks_of(hive_).value_or(0)};
    }
    void kill_hive() {
        if (hive_ > 0) {
            ::kill(hive_, SIGKILL);
            ::waitpid(hive_, nullptr, 0);
            hive_ = -1;
        }
    }
    /// Until the loop has seen what the kernel has to tell.
    void look(const char* event) {
        const auto give_up = std::chrono::steady_clock::now() + 20s;
        while (!lines_->contains(event) && std::chrono::steady_clock::now() < give_up) {
            loop_.restart();
            loop_.run_one_for(10ms);
        }
        EXPECT_TRUE(lines_->contains(event));
        timers_.settle();
    }

    asio::io_context loop_{1};
    test::FakeClock clock_;
    test::FakeTimers timers_{clock_, loop_};
    std::shared_ptr<telemetry::LogCapture> lines_ = std::make_shared<telemetry::LogCapture>();
    telemetry::Logger log_ = *telemetry::Logger::open({.component = "test", .capture = lines_});
    Result<process::Lifeline> lifeline_ = process::Lifeline::make();
    std::optional<Lease::End> end_;
    Lease lease_{{timers_, log_}, 60s, [this](Lease::End how) { end_ = std::move(how); }};
    pid_t hive_ = -1;
};

TEST_F(LeaseTest, AHiveThatPromisedNothingTakesItsWorkerAlong) {
    lifeline_->cut();
    timers_.settle();
    ASSERT_TRUE(end_);
    EXPECT_TRUE(end_->at_once);
    EXPECT_EQ(end_->cause, "the hive has gone");
}

TEST_F(LeaseTest, AWorkerThatMayGoOnWaitsSixtySecondsForAnotherHive) {
    EXPECT_TRUE(lifeline_->allow_survival());
    lifeline_->cut();
    look("hive_lost");
    timers_.advance(59'999ms);
    EXPECT_FALSE(end_);
    timers_.advance(1ms);
    ASSERT_TRUE(end_);
    EXPECT_FALSE(end_->at_once) << "what runs may end";
    EXPECT_EQ(end_->cause, "no hive for 60 s");
}

TEST_F(LeaseTest, TheNextHiveEndsTheWaitAndItsDeathBeginsAnother) {
    EXPECT_TRUE(lifeline_->allow_survival());
    lifeline_->cut();
    look("hive_lost");
    timers_.advance(59s);
    ASSERT_TRUE(lease_.follow(start_hive()));
    timers_.settle();
    timers_.advance(1h);
    EXPECT_FALSE(end_);
    lines_->clear();
    kill_hive();
    look("hive_lost");
    timers_.advance(60s);
    EXPECT_TRUE(end_);
}

TEST_F(LeaseTest, OnlyTheLatestHiveCounts) {
    EXPECT_TRUE(lifeline_->allow_survival());
    ASSERT_TRUE(
        lease_.follow({"http://127.0.0.1:1", ::getpid(), *process::start_ticks_of(::getpid())})
    );
    ASSERT_TRUE(lease_.follow(start_hive()));
    lifeline_->cut();
    timers_.settle();
    timers_.advance(1h);
    EXPECT_FALSE(end_) << "the end of the first one means nothing any more";
}

TEST_F(LeaseTest, AHiveThatIsNotThereIsRefused) {
    HiveNotice notice = start_hive();
    notice.start_ticks += 1;
    EXPECT_EQ(lease_.follow(notice).error().code, Errc::not_found);
    lifeline_->cut();
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    while (!end_ && std::chrono::steady_clock::now() < give_up) { // its other holder is a process
        timers_.settle();
    }
    EXPECT_TRUE(end_) << "the first one counts still";
}

} // namespace
} // namespace rbee::worker
