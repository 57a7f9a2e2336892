#include "rbee/domain/keep_alive.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <chrono>
#include <string>

namespace rbee::domain {
namespace {

using namespace std::chrono_literals;

TEST(KeepAlive, Reads_times_and_seconds) {
    EXPECT_EQ(*parse_keep_alive("90s"), 90s);
    EXPECT_EQ(*parse_keep_alive("5m"), 5min);
    EXPECT_EQ(*parse_keep_alive("1h30m"), 90min);
    EXPECT_EQ(*parse_keep_alive("250ms"), 250ms);
    EXPECT_EQ(*parse_keep_alive("2d"), 48h);
    EXPECT_EQ(*parse_keep_alive(" 300 "), 300s);
    EXPECT_EQ(*parse_keep_alive("0"), 0s);
    EXPECT_EQ(*parse_keep_alive("0s"), 0s);
    EXPECT_EQ(*parse_keep_alive("365d"), 365 * 24h);
}

TEST(KeepAlive, Negative_and_forever_mean_for_ever) {
    for (const char* text : {"forever", "-1", "-5m"}) {
        EXPECT_EQ(*parse_keep_alive(text), keep_for_ever) << text;
    }
    EXPECT_EQ(*keep_alive_of(-1), keep_for_ever);
    EXPECT_EQ(*keep_alive_of(0), 0s);
    EXPECT_EQ(*keep_alive_of(7), 7s);
}

TEST(KeepAlive, Refuses_everything_else) {
    for (const char* text :
         {"",
          " ",
          "x",
          "5x",
          "m",
          "1h30",
          "--1",
          "-",
          "1.5h",
          "5 m",
          "366d",
          "9999999999999",
          "18446744073709551616s",
          "18446744073709551615d",
          "for ever",
          "5m5m5m5m5m5m5m5m5m5m5m5m5"}) {
        EXPECT_FALSE(parse_keep_alive(text)) << text;
    }
    EXPECT_FALSE(keep_alive_of(365LL * 24 * 3600 + 1));
    EXPECT_THAT(parse_keep_alive("x").error().what, testing::HasSubstr("forever"));
}

TEST(KeepAlive, Survives_anything_and_never_passes_its_bound) {
    rc::check([](const std::string& text) {
        const auto read = parse_keep_alive(text);
        RC_ASSERT(!read || *read == keep_for_ever || (*read >= 0s && *read <= 365 * 24h));
    });
}

TEST(IdleStop, Is_due_when_the_time_has_passed_since_the_last_work) {
    const TimePoint since{1h};
    EXPECT_EQ(idle_stop_due({false, false, since, 5min}), since + 5min);
    EXPECT_EQ(idle_stop_due({false, false, since, 0s}), since);
}

TEST(IdleStop, Never_for_pinned_used_or_kept_workers) {
    const TimePoint since{1h};
    EXPECT_EQ(idle_stop_due({true, false, since, 0s}), std::nullopt);
    EXPECT_EQ(idle_stop_due({false, true, since, 0s}), std::nullopt);
    EXPECT_EQ(idle_stop_due({false, false, since, keep_for_ever}), std::nullopt);
}

} // namespace
} // namespace rbee::domain
