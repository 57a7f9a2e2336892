#include "rbee/domain/progress_watch.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>

namespace rbee::domain {
namespace {

using namespace std::chrono_literals;
using Kind = Stall::Kind;

/// A worker whose event loop goes round, looked at each 200 ms.
class ProgressWatchTest : public testing::Test {
protected:
    /// Time passes with these signs; the first stall on the way, and when it was seen.
    std::optional<Stall> pass(Duration time) {
        for (const TimePoint end = now_ + time; now_ < end;) {
            now_ += 200ms;
            if (beating_) {
                signs_.beats = static_cast<std::uint64_t>((now_ - TimePoint()) / 1s);
            }
            if (const auto stall = watch_.look(now_, signs_)) {
                return stall;
            }
        }
        return std::nullopt;
    }

    TimePoint now_ = TimePoint(1h);
    ProgressWatch watch_{now_, ProgressLimits{}};
    ProgressSigns signs_;
    bool beating_ = true;
};

TEST_F(ProgressWatchTest, An_idle_worker_owes_nothing) {
    EXPECT_FALSE(pass(1h));
}

TEST_F(ProgressWatchTest, A_loop_that_owes_answers_and_stands_still_is_stuck_after_10_s) {
    ASSERT_FALSE(pass(5s));
    signs_.owed = 2;
    signs_.steps = 77;
    EXPECT_FALSE(pass(10s));
    const auto stall = pass(400ms);
    ASSERT_TRUE(stall);
    EXPECT_EQ(stall->kind, Kind::working);
    EXPECT_GE(stall->still, 10s);
    EXPECT_LE(stall->still, 10s + 200ms);
    EXPECT_EQ(stall->describe(signs_), "no progress for 10.0 s at step 77 with 2 answers owed");
}

TEST_F(ProgressWatchTest, Long_work_is_no_stall_while_it_advances) {
    signs_.owed = 1;
    for (int i = 0; i < 1000; ++i) {
        ++signs_.steps;
        ASSERT_FALSE(pass(2s)) << i;
    }
}

TEST_F(ProgressWatchTest, An_answered_worker_may_rest) {
    signs_.owed = 1;
    EXPECT_FALSE(pass(8s));
    signs_.owed = 0;
    EXPECT_FALSE(pass(8s));
    signs_.owed = 1;
    EXPECT_FALSE(pass(10s));
    EXPECT_TRUE(pass(1s));
}

TEST_F(ProgressWatchTest, Slow_steps_stretch_the_limit_to_20_times_their_average) {
    signs_.owed = 1;
    for (int i = 0; i < 100; ++i) {
        ++signs_.steps;
        ASSERT_FALSE(pass(4s));
    }
    ++signs_.steps;
    EXPECT_FALSE(pass(75s));
    const auto stall = pass(10s);
    ASSERT_TRUE(stall);
    EXPECT_NEAR(std::chrono::duration<double>(stall->still).count(), 80.0, 1.0);
}

TEST_F(ProgressWatchTest, The_worker_may_ask_for_patience) {
    signs_.owed = 1;
    signs_.patience = 2min;
    EXPECT_FALSE(pass(2min));
    EXPECT_TRUE(pass(1s));
}

TEST_F(ProgressWatchTest, A_stopped_process_with_a_request_that_it_has_not_taken_is_deaf) {
    ASSERT_FALSE(pass(5s));
    beating_ = false;
    EXPECT_FALSE(pass(20s)); // without a request there is time
    signs_.in_flight = 1;
    EXPECT_FALSE(pass(10s));
    const auto stall = pass(400ms);
    ASSERT_TRUE(stall);
    EXPECT_EQ(stall->kind, Kind::deaf);
    EXPECT_EQ(stall->describe(signs_), "its event loop has stood still for 10.0 s with 1 requests");
}

TEST_F(ProgressWatchTest, An_idle_process_is_silent_after_60_s) {
    ASSERT_FALSE(pass(5s));
    beating_ = false;
    EXPECT_FALSE(pass(59s));
    const auto stall = pass(2s);
    ASSERT_TRUE(stall);
    EXPECT_EQ(stall->kind, Kind::silent);
    EXPECT_EQ(stall->describe(signs_), "no heartbeat for 60.0 s");
}

TEST_F(ProgressWatchTest, Loading_may_take_long_as_long_as_it_moves) {
    signs_.loading = true;
    for (int i = 0; i < 40; ++i) {
        ++signs_.steps;
        ASSERT_FALSE(pass(20s)) << i;
        signs_.load_bytes += 2U << 20U; // pages of the file come in
        ASSERT_FALSE(pass(20s)) << i;
    }
}

TEST_F(ProgressWatchTest, Loading_that_does_not_move_is_stuck_after_30_s) {
    signs_.loading = true;
    signs_.steps = 3;
    EXPECT_FALSE(pass(20s));
    signs_.load_bytes += 4096; // not worth the name
    EXPECT_FALSE(pass(10s));
    const auto stall = pass(400ms);
    ASSERT_TRUE(stall);
    EXPECT_EQ(stall->kind, Kind::loading);
    EXPECT_EQ(stall->describe(signs_), "LOADING_TIMEOUT: no progress of the load for 30.0 s");
}

TEST_F(ProgressWatchTest, Loading_has_30_minutes_altogether) {
    signs_.loading = true;
    for (int i = 0; i < 1799; ++i) {
        ++signs_.steps;
        ASSERT_FALSE(pass(1s)) << i;
    }
    ++signs_.steps;
    const auto stall = pass(2s);
    ASSERT_TRUE(stall);
    EXPECT_EQ(stall->kind, Kind::load_time);
    EXPECT_EQ(stall->describe(signs_), "LOADING_TIMEOUT: not loaded after 1800.0 s");
}

TEST_F(ProgressWatchTest, The_end_of_the_load_is_no_step_of_the_loop) {
    signs_.loading = true;
    signs_.steps = 5;
    ASSERT_FALSE(pass(25s));
    signs_.loading = false;
    signs_.owed = 1;
    EXPECT_FALSE(pass(10s)); // and the limit was not stretched by the load
    EXPECT_TRUE(pass(1s));
}

TEST_F(ProgressWatchTest, Who_has_slept_itself_accuses_nobody) {
    signs_.owed = 1;
    signs_.in_flight = 1;
    ASSERT_FALSE(pass(1s));
    now_ += 10min; // the hive was stopped
    EXPECT_FALSE(watch_.look(now_, signs_));
    EXPECT_FALSE(pass(9s));
    EXPECT_TRUE(pass(2s));
}

TEST_F(ProgressWatchTest, A_short_limit_does_not_make_the_time_between_two_beats_a_stall) {
    watch_ = ProgressWatch(now_, {.stall = 1s});
    signs_.in_flight = 1;
    EXPECT_FALSE(pass(1min));
    beating_ = false;
    EXPECT_TRUE(pass(3s));
}

TEST_F(ProgressWatchTest, Without_limits_nobody_looks) {
    watch_ = ProgressWatch(now_, {.stall = 0s, .heartbeat = 0s});
    signs_.owed = 1;
    signs_.in_flight = 1;
    beating_ = false;
    EXPECT_FALSE(pass(1h));
}

} // namespace
} // namespace rbee::domain
