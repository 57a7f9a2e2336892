#include "rbee/process/resources.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/temp_dir.hpp"

namespace rbee::process {
namespace {

class ResourcesTest : public testing::Test {
protected:
    void put(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }
    void put_machine() {
        put("proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:    600 kB\n");
        put("proc/self/cgroup", "1:cpu:/old\n0::/system.slice/rbee.service\n");
    }
    test::TempDir root_;
};

TEST_F(ResourcesTest, WithoutAGroupTheMachineCounts) {
    put_machine();
    const auto seen = memory(root_.path());
    ASSERT_TRUE(seen.has_value());
    EXPECT_EQ(seen->total_bytes, 1000U * 1024);
    EXPECT_EQ(seen->available_bytes, 600U * 1024);
}

TEST_F(ResourcesTest, TheNarrowestGroupCounts) {
    put_machine();
    put("sys/fs/cgroup/system.slice/rbee.service/memory.max", "max\n");
    put("sys/fs/cgroup/system.slice/memory.max", "409600\n");
    put("sys/fs/cgroup/system.slice/memory.current", "300000\n");
    put("sys/fs/cgroup/system.slice/memory.stat", "anon 1\ninactive_file 100000\n");
    const auto seen = memory(root_.path());
    ASSERT_TRUE(seen.has_value());
    EXPECT_EQ(seen->total_bytes, 409600U);
    EXPECT_EQ(seen->available_bytes, 209600U);
}

TEST_F(ResourcesTest, AGroupAboveItsLimitHasNothingLeft) {
    put_machine();
    put("sys/fs/cgroup/system.slice/rbee.service/memory.max", "1000");
    put("sys/fs/cgroup/system.slice/rbee.service/memory.current", "2000");
    EXPECT_EQ(memory(root_.path())->available_bytes, 0U);
}

TEST_F(ResourcesTest, NoFileIsAnError) {
    EXPECT_EQ(memory(root_.path()).error().code, Errc::io);
}

TEST(Resources, OfThisMachine) {
    const auto seen = memory();
    ASSERT_TRUE(seen.has_value());
    EXPECT_GT(seen->total_bytes, 1U << 20U);
    EXPECT_LE(seen->available_bytes, seen->total_bytes);
    EXPECT_GE(cpu_count(), 1U);
    const auto space = disk("/");
    ASSERT_TRUE(space.has_value());
    EXPECT_LE(space->available_bytes, space->total_bytes);
    EXPECT_EQ(disk("/no/such/place").error().code, Errc::io);
    EXPECT_GT(rss_bytes(::getpid()).value_or(0), 100U * 1024);
    EXPECT_EQ(rss_bytes(-5).error().code, Errc::not_found);
}

} // namespace
} // namespace rbee::process
