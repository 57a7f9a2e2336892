#include "rbee/api/validation_limiter.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace rbee::api {
namespace {

using namespace std::chrono_literals;

TEST(ValidationLimiter, VAL_023_AllowsFiftyInASecond) {
    ValidationLimiter limiter({});
    const TimePoint begin{};
    int allowed = 0;
    for (int i = 0; i < 100; ++i) {
        allowed += limiter.count("client", begin + i * 9ms) ? 1 : 0;
    }
    EXPECT_EQ(allowed, 50);
    EXPECT_TRUE(limiter.count("client", begin + 1s)); // the next second
    EXPECT_TRUE(limiter.count("other", begin + 900ms));
}

TEST(ValidationLimiter, ForgetsTheOneThatWasSilentForLongest) {
    ValidationLimiter limiter({.per_window = 1, .sources_max = 2});
    const TimePoint now{};
    EXPECT_TRUE(limiter.count("a", now));
    EXPECT_TRUE(limiter.count("b", now));
    EXPECT_FALSE(limiter.count("a", now));
    EXPECT_TRUE(limiter.count("c", now)); // b goes
    EXPECT_EQ(limiter.sources(), 2U);
    EXPECT_FALSE(limiter.count("a", now));
    EXPECT_TRUE(limiter.count("b", now));
}

TEST(ValidationLimiter, CanBeOff) {
    ValidationLimiter limiter({.per_window = 0});
    for (int i = 0; i < 1000; ++i) {
        EXPECT_TRUE(limiter.count("a", TimePoint{}));
    }
    EXPECT_EQ(limiter.sources(), 0U);
}

} // namespace
} // namespace rbee::api
