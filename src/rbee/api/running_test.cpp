#include "rbee/api/running.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

namespace rbee::api {
namespace {

TEST(RunningRequests, CancelsAllWithTheIdAndTellsWhenEmpty) {
    int emptied = 0;
    RunningRequests running([&] { ++emptied; });
    CancelSource a;
    CancelSource b;
    CancelSource c;
    {
        const auto one = running.add({"corr-1", "job"}, a);
        const auto two = running.add({"corr-2", "job"}, b);
        const auto three = running.add({"corr-3"}, c);
        EXPECT_EQ(running.count(), 3U);
        EXPECT_EQ(running.cancel("job", CancelReason::requested), 2U);
        EXPECT_EQ(running.cancel("nobody", CancelReason::requested), 0U);
        EXPECT_EQ(a.reason(), CancelReason::requested);
        EXPECT_EQ(b.reason(), CancelReason::requested);
        EXPECT_FALSE(c.cancelled());
        EXPECT_EQ(running.cancel_all(CancelReason::shutdown), 3U);
        EXPECT_EQ(a.reason(), CancelReason::requested); // the first reason stays
        EXPECT_EQ(c.reason(), CancelReason::shutdown);
        EXPECT_EQ(emptied, 0);
    }
    EXPECT_TRUE(running.empty());
    EXPECT_EQ(emptied, 1);
}

TEST(RunningRequests, AnEmptyIdNamesNothing) {
    RunningRequests running;
    CancelSource source;
    const auto entry = running.add({"corr", ""}, source);
    EXPECT_EQ(running.cancel("", CancelReason::requested), 0U);
    EXPECT_FALSE(source.cancelled());
}

TEST(RunningRequests, AMovedEntryLeavesOnce) {
    RunningRequests running;
    CancelSource source;
    std::optional<RunningRequests::Entry> outer;
    {
        auto inner = running.add({"corr"}, source);
        outer.emplace(std::move(inner));
    }
    EXPECT_EQ(running.count(), 1U);
    outer.reset();
    EXPECT_TRUE(running.empty());
}

TEST(RunningRequests, ARequestMayEndWhileItIsCancelled) {
    RunningRequests running;
    CancelSource first;
    CancelSource second;
    std::optional<RunningRequests::Entry> entry(running.add({"job"}, first));
    const auto other = running.add({"job"}, second);
    const auto registration = first.on_cancel([&](CancelReason) { entry.reset(); });
    EXPECT_EQ(running.cancel("job", CancelReason::requested), 2U);
    EXPECT_TRUE(second.cancelled());
    EXPECT_EQ(running.count(), 1U);
}

} // namespace
} // namespace rbee::api
