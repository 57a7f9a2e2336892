#include "rbee/base/clock.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace rbee {
namespace {

using std::chrono::milliseconds;

TEST(Rfc3339, ReadsWhatItWrites) {
    for (const std::int64_t ms : {0LL, 1LL, 999LL, 1'769'846'400'123LL, 4'102'444'799'999LL}) {
        const WallTime time{milliseconds(ms)};
        EXPECT_EQ(parse_rfc3339(to_rfc3339(time)), time) << ms;
    }
}

TEST(Rfc3339, ZonesAndFractions) {
    const auto noon = parse_rfc3339("2026-02-28T12:00:00Z");
    ASSERT_TRUE(noon.has_value());
    EXPECT_EQ(parse_rfc3339("2026-02-28T14:00:00+02:00"), noon);
    EXPECT_EQ(parse_rfc3339("2026-02-28t06:30:00-05:30"), noon);
    EXPECT_EQ(parse_rfc3339("2026-02-28 12:00:00.5z"), *noon + milliseconds(500));
    EXPECT_EQ(
        parse_rfc3339("2026-02-28T12:00:00.1234567891Z"),
        *noon + std::chrono::nanoseconds(123'456'789)
    );
    EXPECT_EQ(parse_rfc3339("2026-02-28T11:59:60Z"), noon);
}

TEST(Rfc3339, RefusesEverythingElse) {
    for (const char* text :
         {"",
          "2026-02-28T12:00:00",
          "2026-02-29T12:00:00Z",
          "2026-13-01T12:00:00Z",
          "2026-02-28T24:00:00Z",
          "2026-02-28T12:60:00Z",
          "2026-02-28T12:00:61Z",
          "2026-02-28T12:00:00.Z",
          "2026-02-28T12:00:00Z ",
          " 2026-02-28T12:00:00Z",
          "2026-2-28T12:00:00Z",
          "2026-02-28T12:00:00+0200",
          "2026-02-28T12:00:00+24:00",
          "+026-02-28T12:00:00Z",
          "9999-02-28T12:00:00Z",
          "yesterday"}) {
        EXPECT_FALSE(parse_rfc3339(text).has_value()) << text;
    }
}

} // namespace
} // namespace rbee
