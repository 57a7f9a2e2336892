#include "rbee/base/cancel.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/ids.hpp"
#include "rbee/base/sha256.hpp"
#include "rbee/base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace rbee {
namespace {

TEST(Uuid, HasTheRightShapeAndDoesNotRepeat) {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const std::string id = make_uuid();
        EXPECT_TRUE(is_uuid(id)) << id;
        EXPECT_EQ(id[14], '4');
        EXPECT_TRUE(std::string("89ab").contains(id[19]));
        EXPECT_TRUE(seen.insert(id).second);
    }
}

TEST(Uuid, RefusesOtherShapes) {
    EXPECT_FALSE(is_uuid(""));
    EXPECT_FALSE(is_uuid("0b0b0b0b-1111-4222-8333-44444444444"));
    EXPECT_FALSE(is_uuid("0b0b0b0b-1111-4222-8333-44444444444g"));
    EXPECT_FALSE(is_uuid("0b0b0b0b+1111-4222-8333-444444444444"));
}

TEST(Clock, WritesRfc3339) {
    using namespace std::chrono;
    EXPECT_EQ(to_rfc3339(WallTime(milliseconds(0))), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(to_rfc3339(WallTime(milliseconds(1'769'846'400'123))), "2026-01-31T08:00:00.123Z");
}

TEST(Sha256, KnownVector) {
    EXPECT_EQ(
        to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

TEST(Text, NumbersMustFillTheText) {
    EXPECT_EQ(parse_u64("0"), 0U);
    EXPECT_EQ(parse_u64("18446744073709551615"), UINT64_MAX);
    for (const char* bad : {"", "-1", "+1", " 1", "1 ", "1.0", "18446744073709551616", "0x1"}) {
        EXPECT_EQ(parse_u64(bad), std::nullopt) << bad;
    }
}

TEST(Text, SizesForPeople) {
    EXPECT_EQ(human_bytes(999), "999 B");
    EXPECT_EQ(human_bytes(16'777'216), "16.8 MB");
}

RC_GTEST_PROP(Text, PercentEncodingComesBack, (const std::string& text)) {
    RC_ASSERT(percent_decode(percent_encode(text)) == text);
}

TEST(Cancel, TheFirstReasonWinsAndEachCallbackRunsOnce) {
    CancelSource source;
    std::vector<CancelReason> heard;
    const auto keep = source.on_cancel([&](CancelReason reason) { heard.push_back(reason); });
    {
        const auto dropped = source.on_cancel([&](CancelReason) { ADD_FAILURE(); });
    }
    source.cancel(CancelReason::deadline);
    source.cancel(CancelReason::shutdown);
    EXPECT_THAT(heard, testing::ElementsAre(CancelReason::deadline));
    const auto late = source.on_cancel([&](CancelReason reason) { heard.push_back(reason); });
    EXPECT_EQ(heard.size(), 2U);
}

TEST(Cancel, ACallbackMayDropAnotherOne) {
    CancelSource source;
    CancelSource::Registration second;
    const auto first = source.on_cancel([&](CancelReason) { second.reset(); });
    second = source.on_cancel([&](CancelReason) { ADD_FAILURE(); });
    source.cancel(CancelReason::requested);
}

} // namespace
} // namespace rbee
