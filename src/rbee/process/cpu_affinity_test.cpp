#include "rbee/process/cpu_affinity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace rbee::process {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(IdleTicks, Are_read_for_each_processor) {
    const IdleTicks ticks = parse_idle_ticks("cpu  10 0 10 300 20 0 0 0 0 0\n"
                                             "cpu0 5 0 5 100 10 0 0 0 0 0\n"
                                             "cpu1 5 0 5 200 10 0 0 0 0 0\n"
                                             "cpux 1 1 1 1 1\ncpu2 1 2\ncpu9999999 1 1 1 1 1 1\n"
                                             "intr 12\n");
    EXPECT_EQ(ticks, (IdleTicks{{0, 110}, {1, 210}}));
    EXPECT_THAT(parse_idle_ticks(""), IsEmpty());
    EXPECT_FALSE(idle_ticks().empty());
}

TEST(IdleHalf, Is_the_half_that_did_least) {
    const IdleTicks before{{0, 100}, {1, 100}, {2, 100}, {3, 100}};
    const IdleTicks after{{0, 190}, {1, 110}, {2, 180}, {3, 120}};
    EXPECT_THAT(idle_half({0, 1, 2, 3}, before, after), ElementsAre(0, 2));
    EXPECT_THAT(idle_half({1, 2, 3}, before, after), ElementsAre(2, 3));
    EXPECT_THAT(idle_half({1, 3}, before, after), ElementsAre(3));
    EXPECT_THAT(idle_half({1}, before, after), ElementsAre(1));
    EXPECT_THAT(idle_half({}, before, after), IsEmpty());
}

TEST(IdleHalf, Without_a_difference_takes_the_last_ones) {
    EXPECT_THAT(idle_half({0, 1, 2, 3}, {}, {}), ElementsAre(2, 3));
}

TEST(CpuRange, Is_written_as_the_kernel_does) {
    EXPECT_EQ(cpu_range({0, 1, 2, 3, 7}), "0-3,7");
    EXPECT_EQ(cpu_range({5}), "5");
    EXPECT_EQ(cpu_range({}), "");
}

TEST(CpuScope, Holds_while_it_lives) {
    const auto before = allowed_cpus();
    ASSERT_FALSE(before.empty());
    {
        const CpuScope scope({before.back()});
        EXPECT_THAT(allowed_cpus(), ElementsAre(before.back()));
        std::vector<unsigned> inherited;
        std::thread([&inherited] { inherited = allowed_cpus(); }).join();
        EXPECT_THAT(inherited, ElementsAre(before.back()));
    }
    EXPECT_EQ(allowed_cpus(), before);
    const CpuScope none({});
    EXPECT_EQ(allowed_cpus(), before);
}

} // namespace
} // namespace rbee::process
