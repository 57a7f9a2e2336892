#include "rbee/domain/restart_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace rbee::domain {
namespace {

using Action = RestartDecision::Action;
using namespace std::chrono_literals;

class RestartPolicyTest : public testing::Test {
protected:
    RestartDecision crash() { return policy_.exited(ExitKind::crash, now_, 0); }

    RestartRules rules_{.jitter_percent = 0};
    TimePoint now_{1h};
    RestartPolicy policy_{rules_};
};

TEST(RestartDelayTest, Doubles_from_1_s_to_60_s) {
    const RestartRules rules{.jitter_percent = 0};
    std::vector<std::int64_t> seconds;
    for (std::uint32_t attempt = 0; attempt < 9; ++attempt) {
        seconds.push_back(restart_delay(rules, attempt, 7).count() / 1000);
    }
    EXPECT_THAT(seconds, testing::ElementsAre(1, 2, 4, 8, 16, 32, 60, 60, 60));
}

TEST(RestartDelayTest, Never_overflows) {
    const RestartRules rules;
    for (const std::uint32_t attempt : {31U, 32U, 63U, 64U, std::numeric_limits<uint32_t>::max()}) {
        const auto delay = restart_delay(rules, attempt, 0);
        EXPECT_GE(delay, 48s);
        EXPECT_LE(delay, 60s);
    }
    const RestartRules endless{.base = 24h, .max = Duration::max(), .jitter_percent = 0};
    EXPECT_GT(restart_delay(endless, 1000, 0), 24h * 365);
    const RestartRules none{.base = 0s};
    EXPECT_EQ(restart_delay(none, 1000, 5), 0ms);
}

TEST(RestartDelayTest, Jitter_is_20_percent_in_milliseconds_within_the_cap_and_fair) {
    const RestartRules rules;
    std::mt19937_64 random(20260601);
    for (std::uint32_t attempt = 0; attempt < 8; ++attempt) {
        const double nominal = std::min(1000.0 * (1U << attempt), 60'000.0);
        const double high = std::min(nominal * 1.2, 60'000.0);
        constexpr int draws = 200'000;
        double sum = 0;
        double least = 1e9;
        double most = 0;
        for (int i = 0; i < draws; ++i) {
            const auto delay = static_cast<double>(restart_delay(rules, attempt, random()).count());
            ASSERT_GE(delay, nominal * 0.8);
            ASSERT_LE(delay, high);
            sum += delay;
            least = std::min(least, delay);
            most = std::max(most, delay);
        }
        EXPECT_LT(least, nominal * 0.801) << "the whole band is used";
        EXPECT_GT(most, high * 0.999);
        if (attempt < 6) { // below the cap
            EXPECT_NEAR(sum / draws, nominal, nominal * 0.001);
        }
    }
}

TEST_F(RestartPolicyTest, Three_restarts_in_a_row_and_no_more) {
    for (const auto delay : {1000ms, 2000ms, 4000ms}) {
        const RestartDecision next = crash();
        EXPECT_EQ(next.action, Action::restart);
        EXPECT_EQ(next.delay, delay);
        EXPECT_EQ(next.attempts_max, 3U);
        now_ += 1min;
    }
    EXPECT_EQ(crash().action, Action::exhausted);
    EXPECT_EQ(crash().action, Action::exhausted);
    EXPECT_EQ(policy_.history().attempts, 3U);
    policy_.forgive();
    EXPECT_EQ(crash().attempt, 1U);
}

TEST_F(RestartPolicyTest, Five_minutes_in_service_and_the_attempts_are_forgotten) {
    (void)crash();
    (void)crash();
    policy_.ready(now_);
    now_ += 5min - 1ms;
    EXPECT_FALSE(policy_.settle(now_));
    EXPECT_EQ(crash().attempt, 3U);
    policy_.ready(now_);
    now_ += 5min;
    EXPECT_TRUE(policy_.settle(now_));
    EXPECT_EQ(crash().attempt, 1U);
    now_ += 10min; // loading is not service
    EXPECT_EQ(crash().attempt, 2U);
}

TEST_F(RestartPolicyTest, An_end_that_was_asked_for_brings_nothing_back) {
    EXPECT_EQ(policy_.exited(ExitKind::asked_for, now_, 0).action, Action::none);
    EXPECT_EQ(policy_.history().attempts, 0U);
    EXPECT_EQ(policy_.exited(ExitKind::clean, now_, 0).action, Action::restart);
}

TEST_F(RestartPolicyTest, Configuration_is_never_retried_and_burns_no_attempt) {
    EXPECT_EQ(policy_.exited(ExitKind::configuration, now_, 0).action, Action::hopeless);
    EXPECT_EQ(policy_.history().attempts, 0U);
}

TEST_F(RestartPolicyTest, Lack_of_memory_is_retried_once) {
    EXPECT_EQ(policy_.exited(ExitKind::out_of_memory, now_, 0).action, Action::restart);
    EXPECT_EQ(policy_.exited(ExitKind::out_of_memory, now_, 0).action, Action::hopeless);
    policy_.forgive();
    EXPECT_EQ(policy_.exited(ExitKind::out_of_memory, now_, 0).action, Action::restart);
    EXPECT_EQ(crash().action, Action::restart);
    EXPECT_EQ(policy_.exited(ExitKind::out_of_memory, now_, 0).action, Action::restart);
}

TEST_F(RestartPolicyTest, Switched_off_it_does_nothing) {
    RestartPolicy off(RestartRules{.enabled = false});
    EXPECT_EQ(off.exited(ExitKind::crash, now_, 0).action, Action::none);
    EXPECT_EQ(off.exited(ExitKind::configuration, now_, 0).action, Action::none);
}

TEST_F(RestartPolicyTest, What_was_known_before_counts_on) {
    (void)crash();
    (void)crash();
    RestartPolicy successor(rules_, policy_.history());
    EXPECT_EQ(successor.exited(ExitKind::crash, now_, 0).attempt, 3U);
    EXPECT_EQ(successor.exited(ExitKind::crash, now_, 0).action, Action::exhausted);
}

} // namespace
} // namespace rbee::domain
