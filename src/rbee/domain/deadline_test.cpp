#include "rbee/domain/deadline.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>

namespace rbee::domain {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr std::int64_t wall_ms = 1'800'000'000'000;
const Arrival arrival{BootTime(hours(5)), WallTime(milliseconds(wall_ms))};

Deadline effective(const DeadlineFields& fields, const DeadlinePolicy& policy = {}) {
    const auto deadline = effective_deadline(fields, arrival, policy);
    EXPECT_TRUE(deadline.has_value()) << deadline.error().what;
    return deadline.value_or(Deadline{});
}

milliseconds budget(const Deadline& deadline) {
    return std::chrono::duration_cast<milliseconds>(deadline.due - arrival.boot);
}

TEST(EffectiveDeadline, DEAD_008_DefaultsWhenNothingIsGiven) {
    const Deadline whole = effective({});
    EXPECT_EQ(budget(whole), seconds(30));
    EXPECT_TRUE(whole.defaulted);
    EXPECT_FALSE(whole.first_token_due.has_value());
    EXPECT_EQ(whole.forward_absolute, to_rfc3339(arrival.wall + seconds(30)));

    const Deadline stream = effective({.stream = true});
    EXPECT_EQ(budget(stream), seconds(600));
    EXPECT_EQ(stream.next_due(false), arrival.boot + seconds(30));
    EXPECT_EQ(stream.next_due(true), arrival.boot + seconds(600));

    EXPECT_EQ(budget(effective({.stream = true}, {.strict = true})), seconds(30));
}

TEST(EffectiveDeadline, ThePolicyIsOneOfTwoWords) {
    EXPECT_FALSE(effective({}).partial);
    EXPECT_FALSE(effective({.policy = {"strict"}}).partial);
    EXPECT_TRUE(effective({.policy = {"partial"}}).partial);
    for (const std::vector<std::string_view>& wrong :
         {std::vector<std::string_view>{""}, {"Partial"}, {"partial", "partial"}}) {
        const auto refused = effective_deadline({.policy = wrong}, arrival, {});
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().wire_code, "INVALID_DEADLINE");
    }
}

TEST(EffectiveDeadline, DefaultsStartWhenAWorkerIsThere) {
    const BootTime later = arrival.boot + seconds(20);
    const Deadline moved = effective({.stream = true}).started_at(later, arrival.boot);
    EXPECT_EQ(moved.due, later + seconds(600));
    EXPECT_EQ(moved.first_token_due, later + seconds(30));
    const Deadline asked = effective({.relative = {"5000"}}).started_at(later, arrival.boot);
    EXPECT_EQ(budget(asked), seconds(5));
}

TEST(EffectiveDeadline, DEAD_004_AbsoluteInBothFormsIsForwardedUnchanged) {
    for (const std::string& text :
         {to_rfc3339(arrival.wall + seconds(7)), std::to_string(wall_ms + 7'000)}) {
        const Deadline deadline = effective({.absolute = {text}});
        EXPECT_EQ(budget(deadline), seconds(7)) << text;
        EXPECT_EQ(deadline.forward_absolute, text);
    }
    EXPECT_LT(effective({.absolute = {"2001-01-01T00:00:00Z"}}).due, arrival.boot);
    EXPECT_LT(effective({.absolute = {"000000000000000"}}).due, arrival.boot);
}

TEST(EffectiveDeadline, RelativeForms) {
    EXPECT_EQ(budget(effective({.relative = {"1500"}})), milliseconds(1500));
    EXPECT_EQ(budget(effective({.relative = {"0"}})), milliseconds(0));
    EXPECT_EQ(budget(effective({.stainless = {"12"}})), seconds(12));
    EXPECT_EQ(budget(effective({.stainless = {"0"}})), seconds(1));
    EXPECT_EQ(budget(effective({.stainless = {"0.25"}})), milliseconds(250));
    EXPECT_EQ(budget(effective({.stainless = {"600"}, .body_ms = 4'000})), seconds(4));
    EXPECT_EQ(budget(effective({.relative = {"2000"}, .stainless = {"600"}})), seconds(2));
}

TEST(EffectiveDeadline, NobodyGetsMoreThanTheCap) {
    const Deadline clamped = effective({.relative = {"999999999"}});
    EXPECT_EQ(budget(clamped), std::chrono::minutes(30));
    EXPECT_TRUE(clamped.clamped);
    EXPECT_EQ(budget(effective({.body_ms = INT64_MAX})), std::chrono::minutes(30));
    EXPECT_EQ(budget(effective({.absolute = {"999999999999999"}})), std::chrono::minutes(30));
}

TEST(EffectiveDeadline, DEAD_007_AHeaderNeverExtendsTheTimeoutOfTheBody) {
    const Deadline deadline = effective({.relative = {"60000"}, .body_ms = 5'000});
    EXPECT_EQ(budget(deadline), seconds(5));
    EXPECT_TRUE(deadline.extension_refused);
    EXPECT_FALSE(effective({.relative = {"4000"}, .body_ms = 5'000}).extension_refused);
}

TEST(EffectiveDeadline, ClockSkewNeitherCutsNorExtends) {
    const auto both = [](std::int64_t absolute_in_ms) {
        const std::string absolute = std::to_string(wall_ms + absolute_in_ms);
        return effective({.absolute = {absolute}, .relative = {"10000"}});
    };
    EXPECT_EQ(budget(both(9'500)), milliseconds(9'500));
    EXPECT_EQ(budget(both(3'600'000)), seconds(10));
    EXPECT_FALSE(both(3'600'000).skew_ignored);
    EXPECT_EQ(budget(both(-3'600'000)), seconds(10));
    EXPECT_TRUE(both(-3'600'000).skew_ignored);
}

TEST(EffectiveDeadline, MalformedRepeatedAndNegativeAreRefusedWithoutTheValue) {
    const std::string far(50, '1');
    for (const char* value :
         {"", "-1", "+5", "12345", "1800000000", "soon", "2026-02-30T00:00:00Z", "1e12", far.c_str()
         }) {
        const auto refused = effective_deadline({.absolute = {value}}, arrival, {});
        ASSERT_FALSE(refused.has_value()) << value;
        EXPECT_EQ(refused.error().wire_code, "INVALID_DEADLINE");
    }
    for (const char* value : {"", "-1", "1.5", " 5", "1234567890", "0x10"}) {
        EXPECT_FALSE(effective_deadline({.relative = {value}}, arrival, {}).has_value()) << value;
    }
    for (const char* value : {"", "-1", "1.", ".5", "1e3", "not given"}) {
        EXPECT_FALSE(effective_deadline({.stainless = {value}}, arrival, {}).has_value()) << value;
    }
    EXPECT_FALSE(effective_deadline({.relative = {"1", "1"}}, arrival, {}).has_value());
    EXPECT_FALSE(effective_deadline({.body_ms = -1}, arrival, {}).has_value());
    const auto refused = effective_deadline({.relative = {"<script>"}}, arrival, {});
    EXPECT_FALSE(refused.error().what.contains("script"));
}

TEST(ForwardTimeout, KeepsAStaggerBackAndIsNeverNegative) {
    const BootTime now = arrival.boot;
    EXPECT_EQ(forward_timeout(now + milliseconds(1'000), now), milliseconds(995));
    EXPECT_EQ(forward_timeout(now + milliseconds(3), now), milliseconds(0));
    EXPECT_EQ(forward_timeout(now - seconds(9), now), milliseconds(0));
}

/// The same rules said in another way: a list of upper bounds, the smallest of which counts.
std::int64_t oracle_budget(
    std::optional<std::int64_t> absolute,
    std::optional<std::int64_t> relative,
    std::optional<std::int64_t> body,
    bool stream
) {
    std::vector<std::int64_t> bounds{1'800'000};
    if (relative) {
        bounds.push_back(*relative);
    }
    if (body) {
        bounds.push_back(*body);
    }
    if (absolute) {
        const bool alone = !relative;
        if (alone || 4 * (*relative - *absolute) <= std::min<std::int64_t>(4'000, *relative)) {
            bounds.push_back(*absolute);
        }
    }
    if (!absolute && !relative && !body) {
        bounds.push_back(stream ? 600'000 : 30'000);
    }
    return std::max<std::int64_t>(*std::ranges::min_element(bounds), -1'800'000);
}

TEST(EffectiveDeadline, AgreesWithAnIndependentOracleOnAMillionInputs) {
    std::mt19937_64 random(20261123);
    const auto pick = [&](std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(random);
    };
    const auto maybe = [&](std::int64_t low, std::int64_t high) -> std::optional<std::int64_t> {
        if (pick(0, 2) == 0) {
            return std::nullopt;
        }
        // Near zero, near the boundary of the skew rule, and anywhere.
        const std::int64_t near = pick(0, 2);
        return near == 0   ? pick(std::max<std::int64_t>(low, -5), 5)
               : near == 1 ? pick(3'990, 5'010)
                           : pick(low, high);
    };
    for (int round = 0; round < 1'000'000; ++round) {
        const auto absolute = maybe(-4'000'000, 4'000'000);
        const auto relative = maybe(0, 4'000'000);
        const auto body = maybe(0, 4'000'000);
        const std::string absolute_text = std::to_string(wall_ms + absolute.value_or(0));
        const std::string relative_text = std::to_string(relative.value_or(0));
        DeadlineFields fields{.body_ms = body, .stream = pick(0, 1) == 1};
        if (absolute) {
            fields.absolute.emplace_back(absolute_text);
        }
        if (relative) {
            fields.relative.emplace_back(relative_text);
        }
        const auto deadline = effective_deadline(fields, arrival, {});
        ASSERT_TRUE(deadline.has_value());
        ASSERT_EQ(budget(*deadline).count(), oracle_budget(absolute, relative, body, fields.stream))
            << "absolute " << absolute.value_or(-1) << " relative " << relative.value_or(-1)
            << " body " << body.value_or(-1);
    }
}

} // namespace
} // namespace rbee::domain
