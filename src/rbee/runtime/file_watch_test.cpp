#include "rbee/runtime/file_watch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

namespace rbee::runtime {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// With real files; each case ends as soon as the kernel has told of them.
class FileWatchTest : public testing::Test {
protected:
    FileWatchTest() {
        std::string pattern = testing::TempDir() + "rbee-watch-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        write("token", "first");
    }
    ~FileWatchTest() override { fs::remove_all(folder_); }

    void write(const std::string& name, const std::string& text) const {
        std::ofstream(folder_ / name) << text;
    }
    void replace(const std::string& name, const std::string& text) const {
        write(name + ".new", text);
        fs::rename(folder_ / (name + ".new"), folder_ / name);
    }
    [[nodiscard]] std::string path(const std::string& name) const {
        return (folder_ / name).string();
    }

    /// Whether `watch` tells of a change within `limit`.
    bool told(FileWatch& watch, std::chrono::milliseconds limit) {
        bool done = false;
        asio::co_spawn(loop_, watch.changed(), [&](const std::exception_ptr& failure) {
            done = !failure;
        });
        const auto due = std::chrono::steady_clock::now() + limit;
        loop_.restart();
        while (!done && loop_.run_one_until(due) > 0) {
        }
        return done;
    }

    fs::path folder_;
    asio::io_context loop_{1};
    SystemTimers timers_{loop_.get_executor()};
};

TEST_F(FileWatchTest, Tells_of_a_file_that_is_written_anew_and_then_waits_for_the_next) {
    FileWatch watch(timers_, {path("token")}, 1ms);
    EXPECT_TRUE(watch.complete());
    write("token", "second");
    EXPECT_TRUE(told(watch, 10s));
    replace("token", "third");
    EXPECT_TRUE(told(watch, 10s));
    fs::remove(path("token"));
    EXPECT_TRUE(told(watch, 10s));
}

TEST_F(FileWatchTest, Tells_of_a_file_that_was_not_there) {
    FileWatch watch(timers_, {"", path("token"), path("tokens.toml")}, 1ms);
    replace("tokens.toml", "new");
    EXPECT_TRUE(told(watch, 10s));
}

TEST_F(FileWatchTest, Other_files_of_the_folder_are_nobodys_business) {
    FileWatch watch(timers_, {path("token")}, 1ms);
    write("other", "x");
    EXPECT_FALSE(told(watch, 100ms));
}

TEST_F(FileWatchTest, Follows_a_link_that_is_turned_to_another_folder) {
    fs::create_directory(folder_ / "v1");
    fs::create_directory(folder_ / "v2");
    write("v1/token", "1");
    write("v2/token", "2");
    fs::create_directory_symlink("v1", folder_ / "now");
    fs::create_symlink("now/token", folder_ / "linked");
    FileWatch watch(timers_, {path("linked")}, 1ms);
    fs::create_directory_symlink("v2", folder_ / "next");
    fs::rename(folder_ / "next", folder_ / "now");
    EXPECT_TRUE(told(watch, 10s));
    write("v2/token", "3");
    EXPECT_TRUE(told(watch, 10s));
}

TEST_F(FileWatchTest, Says_when_it_cannot_see) {
    const FileWatch watch(timers_, {"/nowhere/at/all"});
    EXPECT_FALSE(watch.complete());
}

} // namespace
} // namespace rbee::runtime
