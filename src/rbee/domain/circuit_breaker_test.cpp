#include "rbee/domain/circuit_breaker.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <vector>

namespace rbee::domain {
namespace {

using State = CircuitBreaker::State;
using namespace std::chrono_literals;

class CircuitBreakerTest : public testing::Test {
protected:
    /// Fails until it opens.
    void open() {
        for (int i = 0; i < 5; ++i) {
            (void)breaker_.failed(0, now_, 0);
        }
        ASSERT_EQ(breaker_.state(), State::open);
    }
    /// Waits for the end of the cooldown and takes the trial.
    std::uint64_t trial() {
        now_ = breaker_.peek(now_).retry_at;
        const auto permit = breaker_.admit(now_);
        EXPECT_TRUE(permit.allowed);
        EXPECT_NE(permit.trial, 0U);
        return permit.trial;
    }
    [[nodiscard]] Duration cooldown() const { return breaker_.peek(now_).retry_at - now_; }

    BreakerRules rules_{.jitter_percent = 0};
    TimePoint now_{10h};
    CircuitBreaker breaker_{rules_};
};

TEST_F(CircuitBreakerTest, Other_rules_hold_from_the_next_opening_on) {
    open();
    rules_.cooldown = 1min;
    rules_.cooldown_max = 90s;
    breaker_.set_rules(rules_);
    EXPECT_EQ(cooldown(), 5min) << "that one had begun";
    EXPECT_TRUE(breaker_.failed(trial(), now_, 0));
    EXPECT_EQ(cooldown(), 90s);
    rules_.cooldown = 10min;
    rules_.cooldown_max = 30min;
    breaker_.set_rules(rules_);
    EXPECT_TRUE(breaker_.failed(trial(), now_, 0));
    EXPECT_EQ(cooldown(), 20min);
}

TEST_F(CircuitBreakerTest, Opens_at_the_fifth_failure_within_five_minutes) {
    for (int i = 0; i < 4; ++i) {
        EXPECT_FALSE(breaker_.failed(0, now_, 0));
        now_ += 1min;
    }
    EXPECT_TRUE(breaker_.admit(now_).allowed);
    EXPECT_TRUE(breaker_.failed(0, now_, 0));
    EXPECT_EQ(breaker_.state(), State::open);
    EXPECT_FALSE(breaker_.admit(now_).allowed);
    EXPECT_EQ(cooldown(), 5min);
}

TEST_F(CircuitBreakerTest, A_failure_five_minutes_ago_counts_no_more) {
    (void)breaker_.failed(0, now_, 0);
    now_ += 5min - 1ms;
    for (int i = 0; i < 3; ++i) {
        (void)breaker_.failed(0, now_, 0);
    }
    now_ += 1ms; // the first is out now
    EXPECT_FALSE(breaker_.failed(0, now_, 0));
    EXPECT_TRUE(breaker_.failed(0, now_, 0));
}

TEST_F(CircuitBreakerTest, A_worker_without_attempts_opens_it_at_once) {
    EXPECT_TRUE(breaker_.trip(now_, 0));
    EXPECT_FALSE(breaker_.trip(now_, 0)) << "open already";
    EXPECT_EQ(breaker_.state(), State::open);
}

TEST_F(CircuitBreakerTest, After_the_cooldown_exactly_one_may_try) {
    open();
    now_ += 5min - 1ms;
    EXPECT_FALSE(breaker_.admit(now_).allowed);
    now_ += 1ms;
    EXPECT_TRUE(breaker_.peek(now_).allowed);
    const auto first = breaker_.admit(now_);
    EXPECT_TRUE(first.allowed);
    EXPECT_EQ(breaker_.state(), State::half_open);
    const auto second = breaker_.admit(now_);
    EXPECT_FALSE(second.allowed);
    EXPECT_GT(second.retry_at, now_);
}

TEST_F(CircuitBreakerTest, A_good_trial_closes_it_and_all_is_forgotten) {
    open();
    EXPECT_TRUE(breaker_.succeeded(trial(), now_));
    EXPECT_EQ(breaker_.state(), State::closed);
    for (int i = 0; i < 4; ++i) {
        EXPECT_FALSE(breaker_.failed(0, now_, 0));
    }
}

TEST_F(CircuitBreakerTest, Each_failed_trial_doubles_the_cooldown_up_to_30_minutes) {
    open();
    for (const auto expected : {10min, 20min, 30min, 30min}) {
        EXPECT_TRUE(breaker_.failed(trial(), now_, 0));
        EXPECT_EQ(cooldown(), expected);
    }
}

TEST_F(CircuitBreakerTest, An_hour_of_calm_halves_the_cooldown) {
    open();
    (void)breaker_.failed(trial(), now_, 0);
    (void)breaker_.failed(trial(), now_, 0); // 20 min
    (void)breaker_.succeeded(trial(), now_);
    now_ += 59min;
    EXPECT_FALSE(breaker_.idle(now_));
    now_ += 1min;
    open();
    EXPECT_EQ(cooldown(), 10min);
    (void)breaker_.succeeded(trial(), now_);
    now_ += 5h;
    EXPECT_TRUE(breaker_.idle(now_));
    open();
    EXPECT_EQ(cooldown(), 5min);
}

TEST_F(CircuitBreakerTest, Late_news_of_another_start_end_no_trial) {
    open();
    const std::uint64_t first = trial();
    (void)breaker_.failed(first, now_, 0);
    const std::uint64_t second = trial();
    EXPECT_NE(first, second);
    EXPECT_FALSE(breaker_.failed(first, now_, 0));
    EXPECT_FALSE(breaker_.failed(0, now_, 0));
    EXPECT_FALSE(breaker_.succeeded(first, now_));
    EXPECT_FALSE(breaker_.succeeded(0, now_));
    breaker_.abandoned(first, now_);
    EXPECT_EQ(breaker_.state(), State::half_open);
    EXPECT_TRUE(breaker_.succeeded(second, now_));
}

TEST_F(CircuitBreakerTest, A_trial_that_came_to_nothing_may_be_had_again) {
    open();
    breaker_.abandoned(trial(), now_);
    EXPECT_EQ(breaker_.state(), State::open);
    EXPECT_TRUE(breaker_.admit(now_).allowed);
}

TEST_F(CircuitBreakerTest, By_hand_it_closes_at_once) {
    open();
    breaker_.close();
    EXPECT_TRUE(breaker_.admit(now_).allowed);
    EXPECT_TRUE(breaker_.idle(now_));
}

TEST_F(CircuitBreakerTest, The_cooldown_varies_by_20_percent_and_stays_below_its_most) {
    for (std::uint64_t random = 0; random < 200'000; random += 97) {
        CircuitBreaker breaker(BreakerRules{});
        (void)breaker.trip(now_, random);
        const Duration drawn = breaker.peek(now_).retry_at - now_;
        ASSERT_GE(drawn, 240s);
        ASSERT_LE(drawn, 360s);
        CircuitBreaker slow(BreakerRules{.cooldown = 30min, .cooldown_max = 30min});
        (void)slow.trip(now_, random);
        ASSERT_LE(slow.peek(now_).retry_at - now_, 30min);
    }
}

TEST_F(CircuitBreakerTest, A_clock_that_goes_back_changes_nothing) {
    for (int i = 0; i < 4; ++i) {
        (void)breaker_.failed(0, now_, 0);
    }
    EXPECT_TRUE(breaker_.failed(0, now_ - 1h, 0)) << "counts as the moment before it";
}

TEST_F(CircuitBreakerTest, Zero_failures_means_by_used_up_attempts_only) {
    CircuitBreaker breaker(BreakerRules{.failures = 0});
    for (int i = 0; i < 100; ++i) {
        EXPECT_FALSE(breaker.failed(0, now_, 0));
    }
    EXPECT_TRUE(breaker.trip(now_, 0));
}

} // namespace
} // namespace rbee::domain
