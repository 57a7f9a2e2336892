#include "rbee/process/disk_load.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include "support/temp_dir.hpp"

namespace rbee::process {
namespace {

TEST(DiskLoad, Is_read_for_the_disk_that_holds_the_path) {
    const test::TempDir root;
    struct stat file{};
    ASSERT_EQ(::stat(root.path().c_str(), &file), 0);
    std::filesystem::create_directory(root / "proc");
    std::ofstream(root / "proc/diskstats")
        << "   7       0 loop0 1 2 3 4 5 6 7 8 9 10 11\n"
        << fmt::format(
               " {:3} {:7} vda 970924 88853 38155418 840921 1214875 249390 129142888 538245 0 "
               "177404 1425623 133158 31\n",
               major(file.st_dev),
               minor(file.st_dev)
           );
    EXPECT_EQ(disk_busy_ms(root.path(), root.path()), 177404U);
    EXPECT_EQ(disk_busy_ms("/no/such/path", root.path()), std::nullopt);
    EXPECT_EQ(disk_busy_ms("/proc", root.path()), std::nullopt); // no disk behind it
}

TEST(DiskLoad, Survives_lines_that_make_no_sense) {
    const test::TempDir root;
    struct stat file{};
    ASSERT_EQ(::stat(root.path().c_str(), &file), 0);
    std::filesystem::create_directory(root / "proc");
    std::ofstream(root / "proc/diskstats")
        << "x\n\n"
        << fmt::format("{} {} vda 1 2 3\n", major(file.st_dev), minor(file.st_dev));
    EXPECT_EQ(disk_busy_ms(root.path(), root.path()), std::nullopt);
    EXPECT_EQ(disk_busy_ms(root.path(), root / "nowhere"), std::nullopt);
}

} // namespace
} // namespace rbee::process
