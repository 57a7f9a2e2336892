#include "rbee/domain/retry_budget.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>
#include <vector>

namespace rbee::domain {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(RetryBudget, TenPercentOfManyRequests) {
    RetryBudget budget;
    const TimePoint now(std::chrono::hours(1));
    for (int i = 0; i < 1000; ++i) {
        budget.request(now);
    }
    int allowed = 0;
    for (int i = 0; i < 1000; ++i) {
        allowed += budget.take(now) ? 1 : 0;
    }
    EXPECT_EQ(allowed, 100);
}

TEST(RetryBudget, FewRequestsHaveTheReserve) {
    RetryBudget budget({.percent = 10, .reserve = 3});
    const TimePoint now(std::chrono::hours(1));
    budget.request(now);
    EXPECT_TRUE(budget.take(now));
    EXPECT_TRUE(budget.take(now));
    EXPECT_TRUE(budget.take(now));
    EXPECT_FALSE(budget.take(now));
    EXPECT_FALSE(budget.take(now + seconds(49)));
    EXPECT_TRUE(budget.take(now + seconds(60)));
}

/// In no window of any kind of traffic is more sent again than the rules say.
TEST(RetryBudget, HoldsForAnyTraffic) {
    struct Event {
        std::int64_t part;
        bool retry;
    };
    std::mt19937_64 random(11); // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
    for (int walk = 0; walk < 200; ++walk) {
        RetryBudget budget({.percent = 10, .reserve = 5});
        TimePoint now(std::chrono::hours(1));
        std::vector<Event> events;
        const auto eager = random() % 100;
        for (int step = 0; step < 1000; ++step) {
            now += milliseconds(random() % 1000);
            const std::int64_t part = now.time_since_epoch() / seconds(10);
            const auto count = [&](bool retry) {
                return std::ranges::count_if(events, [&](const Event& event) {
                    return event.retry == retry && event.part > part - 6;
                });
            };
            if (random() % 100 >= eager) {
                budget.request(now);
                events.push_back({part, false});
                continue;
            }
            const bool room = count(true) < std::max<std::int64_t>(count(false) / 10, 5);
            ASSERT_EQ(budget.take(now), room) << walk << ' ' << step;
            if (room) {
                events.push_back({part, true});
            }
        }
    }
}

} // namespace
} // namespace rbee::domain
