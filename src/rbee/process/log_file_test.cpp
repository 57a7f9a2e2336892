#include "rbee/process/log_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/temp_dir.hpp"

namespace rbee::process {
namespace {

void append(const LogFile& log, const std::string& text) {
    std::ofstream(log.path(), std::ios::app) << text;
}

unsigned mode(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777U : 0;
}

TEST(LogFile, IsPrivate) {
    const test::TempDir folder;
    const LogFile log(folder / "logs/w1.log", 10);
    EXPECT_TRUE(log.open().has_value());
    EXPECT_EQ(mode(folder / "logs"), 0700U);
    EXPECT_EQ(mode(log.path()), 0600U);
}

TEST(LogFile, KeepsTwoFilesOfBoundedSize) {
    const test::TempDir folder;
    const LogFile log(folder / "w.log", 10);
    append(log, "0123456789");
    EXPECT_EQ(log.enforce_limit().value(), false) << "at the limit is not above it";
    append(log, "abcde");
    EXPECT_EQ(log.enforce_limit().value(), true);
    EXPECT_EQ(std::filesystem::file_size(log.path()), 0U);
    EXPECT_EQ(log.tail(100).value(), "56789abcde");
    append(log, "next");
    EXPECT_EQ(log.tail(6).value(), "denext");
    EXPECT_EQ(log.tail(3).value(), "ext");
    EXPECT_EQ(mode(log.path() + ".1"), 0600U);
}

TEST(LogFile, CutsEvenWhereTheCopyCannotBeKept) {
    const test::TempDir folder;
    const LogFile log(folder / "w.log", 10);
    append(log, "0123456789abc");
    std::filesystem::create_directories(log.path() + ".1/x");
    EXPECT_EQ(log.enforce_limit().value(), true);
    EXPECT_EQ(std::filesystem::file_size(log.path()), 0U);
    EXPECT_FALSE(std::filesystem::exists(log.path() + ".1.tmp"));
}

TEST(LogFile, WhatIsMissingIsEmpty) {
    const test::TempDir folder;
    const LogFile log(folder / "w.log", 10);
    EXPECT_EQ(log.enforce_limit().value(), false);
    EXPECT_EQ(log.tail(10).value(), "");
    EXPECT_TRUE(log.remove().has_value());
}

TEST(LogFile, RemovesBoth) {
    const test::TempDir folder;
    const LogFile log(folder / "w.log", 2);
    append(log, "abc");
    EXPECT_TRUE(log.enforce_limit().has_value());
    EXPECT_TRUE(log.remove().has_value());
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(LogFile, AFolderThatCannotBeMadeIsAnError) {
    const auto opened = LogFile("/proc/none/w.log", 2).open();
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, Errc::io);
}

} // namespace
} // namespace rbee::process
