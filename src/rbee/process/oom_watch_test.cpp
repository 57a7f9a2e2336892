#include "rbee/process/oom_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "support/temp_dir.hpp"

namespace rbee::process {
namespace {

using testing::HasSubstr;

class OomWatchTest : public testing::Test {
protected:
    void put(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(root_ / path).parent_path());
        std::ofstream(root_ / path, std::ios::app) << text;
    }
    void count(int kills) {
        std::filesystem::remove(root_ / "proc/vmstat");
        put("proc/vmstat", "nr_free_pages 5\noom_kill " + std::to_string(kills) + "\n");
    }
    void in_first_namespace() {
        std::filesystem::create_directories(root_ / "proc/self/ns");
        std::filesystem::create_symlink("pid:[4026531836]", root_ / "proc/self/ns/pid");
    }
    test::TempDir root_;
};

TEST_F(OomWatchTest, TheKernelsLogNamesTheProcess) {
    in_first_namespace();
    count(0);
    put("dev/kmsg", "3,1,1,-;Out of memory: Killed process 7 (old) total-vm:1kB\n");
    OomWatch watch(root_.path());
    EXPECT_EQ(watch.evidence(7), std::nullopt) << "that was before";
    put("dev/kmsg",
        "3,2,2,-;Memory cgroup out of memory: Killed process 42 (llm-worker) total-vm:9kB\n");
    count(1);
    EXPECT_EQ(watch.evidence(4), std::nullopt) << "another was named";
    const auto evidence = watch.evidence(42);
    ASSERT_TRUE(evidence);
    EXPECT_THAT(*evidence, HasSubstr("Killed process 42 (llm-worker)"));
    EXPECT_EQ(watch.evidence(42), std::nullopt) << "the number may come again";
}

TEST_F(OomWatchTest, OtherLinesOfTheLogAreNoEvidence) {
    in_first_namespace();
    OomWatch watch(root_.path());
    put("dev/kmsg", "6,1,1,-;usb 1-1: Killed process 42 of something else\n");
    EXPECT_EQ(watch.evidence(42), std::nullopt);
    put("dev/kmsg", "garbage");
    EXPECT_EQ(watch.evidence(42), std::nullopt);
}

TEST_F(OomWatchTest, WithoutTheLogTheCountOfTheMachineSpeaks) {
    count(3);
    OomWatch watch(root_.path());
    EXPECT_EQ(watch.evidence(42), std::nullopt);
    count(4);
    EXPECT_THAT(watch.evidence(42).value_or(""), HasSubstr("killed a process"));
    watch.refresh();
    EXPECT_TRUE(watch.evidence(42)) << "its memory may have taken a while to be freed";
    watch.refresh();
    EXPECT_EQ(watch.evidence(42), std::nullopt);
}

TEST_F(OomWatchTest, InAContainerTheNumbersOfTheLogAreOthers) {
    count(0);
    put("dev/kmsg", "");
    OomWatch watch(root_.path());
    put("dev/kmsg", "3,2,2,-;Out of memory: Killed process 42 (x) total-vm:9kB\n");
    EXPECT_EQ(watch.evidence(42), std::nullopt);
    count(2);
    EXPECT_THAT(watch.evidence(17).value_or(""), HasSubstr("2 processes"));
}

TEST_F(OomWatchTest, AKernelThatTellsNothingIsNoEvidence) {
    OomWatch watch(root_.path());
    watch.refresh();
    EXPECT_EQ(watch.evidence(42), std::nullopt);
}

} // namespace
} // namespace rbee::process
