#include "rbee/process/cgroup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support/temp_dir.hpp"

namespace rbee::process {
namespace {

namespace fs = std::filesystem;

/// A folder that looks like the kernel's file system. Files stay files: it is about which ones are
/// written with what.
class CgroupTest : public testing::Test {
protected:
    void put(const std::string& path, const std::string& text = {}) {
        fs::create_directories(fs::path(root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }
    [[nodiscard]] std::string get(const std::string& path) const {
        std::ifstream in(root_ / path);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void put_first_version() {
        put("proc/self/mountinfo",
            "31 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
            "35 31 0:32 / /cg/memory rw,relatime - cgroup cgroup rw,memory\n");
        put("proc/self/cgroup", "5:cpu:/\n4:memory:/user/rbee\n0::/\n");
        put("cg/memory/user/rbee/cgroup.procs");
    }
    void put_unified(const std::string& own) {
        put("proc/self/mountinfo", "35 31 0:32 / /cg rw - cgroup2 cgroup2 rw\n");
        put("proc/self/cgroup", "0::" + own + "\n");
        put("cg/rbee.service/cgroup.controllers", "cpu memory pids\n");
        put("cg/rbee.service/cgroup.procs");
        put("cg/rbee.service/cgroup.subtree_control");
    }
    test::TempDir root_;
};

TEST_F(CgroupTest, The_first_version_is_used_below_the_group_of_this_process) {
    put_first_version();
    auto groups = MemoryGroups::find(root_.path());
    ASSERT_TRUE(groups) << groups.error().what;
    EXPECT_EQ(groups->folder(), root_.path() + "/cg/memory/user/rbee");
    put("cg/memory/user/rbee/w/memory.limit_in_bytes");
    put("cg/memory/user/rbee/w/memory.memsw.limit_in_bytes");
    put("cg/memory/user/rbee/w/memory.oom_control", "oom_kill_disable 0\noom_kill 2\n");
    put("cg/memory/user/rbee/w/cgroup.procs");
    auto group = groups->make("w", 123456);
    ASSERT_TRUE(group) << group.error().what;
    EXPECT_EQ(get("cg/memory/user/rbee/w/memory.limit_in_bytes"), "123456");
    EXPECT_EQ(get("cg/memory/user/rbee/w/memory.memsw.limit_in_bytes"), "123456");
    ASSERT_TRUE(group->add(4711));
    EXPECT_EQ(get("cg/memory/user/rbee/w/cgroup.procs"), "4711");
    EXPECT_EQ(group->oom_kills(), 0U); // those of an earlier group of that name do not count
    put("cg/memory/user/rbee/w/memory.oom_control", "oom_kill_disable 0\noom_kill 3\n");
    EXPECT_EQ(group->oom_kills(), 1U);
    put("cg/memory/user/rbee/w/cgroup.procs"); // nobody: kill_all() must not kill 4711
    group->kill_all();
}

TEST_F(CgroupTest, In_the_second_version_the_hive_moves_into_a_leaf_of_its_own) {
    put_unified("/rbee.service");
    put("cg/rbee.service/hive/cgroup.procs");
    auto groups = MemoryGroups::find(root_.path());
    ASSERT_TRUE(groups) << groups.error().what;
    EXPECT_EQ(get("cg/rbee.service/hive/cgroup.procs"), std::to_string(::getpid()));
    EXPECT_EQ(get("cg/rbee.service/cgroup.subtree_control"), "+memory");
    put("cg/rbee.service/w/memory.max");
    put("cg/rbee.service/w/memory.swap.max");
    put("cg/rbee.service/w/memory.events", "low 0\nmax 7\noom 1\noom_kill 1\n");
    const auto group = groups->make("w", 99);
    ASSERT_TRUE(group);
    EXPECT_EQ(get("cg/rbee.service/w/memory.max"), "99");
    EXPECT_EQ(get("cg/rbee.service/w/memory.swap.max"), "0");
    EXPECT_EQ(group->oom_kills(), 0U);
}

TEST_F(CgroupTest, One_that_was_started_in_a_leaf_makes_groups_beside_it) {
    put_unified("/rbee.service/hive");
    const auto groups = MemoryGroups::find(root_.path());
    ASSERT_TRUE(groups) << groups.error().what;
    EXPECT_EQ(groups->folder(), root_.path() + "/cg/rbee.service");
    EXPECT_FALSE(fs::exists(root_ / "cg/rbee.service/hive/cgroup.procs"));
}

TEST_F(CgroupTest, Without_the_controller_the_reason_is_told) {
    put_unified("/rbee.service");
    put("cg/rbee.service/cgroup.controllers", "cpu pids\n");
    const auto groups = MemoryGroups::find(root_.path());
    ASSERT_FALSE(groups);
    EXPECT_EQ(groups.error().code, Errc::unsupported);
    EXPECT_THAT(groups.error().what, testing::HasSubstr("not delegated"));
    EXPECT_FALSE(MemoryGroups::find(root_ / "nowhere"));
}

TEST_F(CgroupTest, Empty_groups_of_earlier_lives_are_removed) {
    put_first_version();
    auto groups = MemoryGroups::find(root_.path());
    ASSERT_TRUE(groups);
    for (const char* name : {"rbee-worker-1", "rbee-worker-2", "other"}) {
        fs::create_directory(root_ / ("cg/memory/user/rbee/" + std::string(name)));
    }
    put("cg/memory/user/rbee/rbee-worker-2/somebody");
    groups->remove_empty("rbee-worker-");
    EXPECT_FALSE(fs::exists(root_ / "cg/memory/user/rbee/rbee-worker-1"));
    EXPECT_TRUE(fs::exists(root_ / "cg/memory/user/rbee/rbee-worker-2"));
    EXPECT_TRUE(fs::exists(root_ / "cg/memory/user/rbee/other"));
}

} // namespace
} // namespace rbee::process
