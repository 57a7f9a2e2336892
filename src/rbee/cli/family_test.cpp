#include "rbee/cli/family.hpp"
#include "rbee/process/spawn.hpp"

#include <boost/json/parse.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <vector>

namespace rbee::cli {
namespace {

namespace json = boost::json;

/// A shell that has a child, both sleeping, with some word among its arguments.
class FamilyTest : public testing::Test {
protected:
    FamilyTest() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        const UniqueFd read(ends[0]);
        UniqueFd write(ends[1]);
        const auto started = process::spawn_process(
            {.program = "/bin/sh",
             .args = {"-c", "sleep 60 >&- & echo; wait", "worker-42"},
             .env = {"PATH=/usr/bin:/bin"},
             .output_fd = write.get()}
        );
        shell_ = started.value_or(-1);
        char line = 0;
        EXPECT_EQ(::read(read.get(), &line, 1), 1); // from now on it has its child
    }
    ~FamilyTest() override {
        ::kill(-shell_, SIGKILL);
        ::waitpid(shell_, nullptr, 0);
    }
    [[nodiscard]] json::object answer(const std::string& hive, const std::string& id) const {
        return json::parse(
                   fmt::format(
                       R"({{"workers":[{{"hive":"{}","id":"{}","pid":{}}}]}})", hive, id, shell_
                   )
        )
            .as_object();
    }
    pid_t shell_ = -1;
};

TEST_F(FamilyTest, Descendants_are_found_down_to_the_last) {
    const std::vector<Member> found = descendants_of(::getpid());
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found.at(0).pid, shell_);
    EXPECT_FALSE(has_ended(found.at(1).process));
    ::kill(found.at(1).pid, SIGKILL);
    pollfd end{found.at(1).process.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&end, 1, 10'000), 1);
    EXPECT_TRUE(has_ended(found.at(1).process));
    EXPECT_TRUE(descendants_of(1'000'000'000).empty());
}

TEST_F(FamilyTest, A_worker_is_believed_only_when_its_process_bears_its_id) {
    ASSERT_GT(shell_, 0);
    const auto found = workers_of(answer("localhost", "worker-42"), "localhost");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.front().pid, shell_);
    EXPECT_TRUE(workers_of(answer("elsewhere", "worker-42"), "localhost").empty());
    EXPECT_TRUE(workers_of(answer("localhost", "worker-43"), "localhost").empty());
    EXPECT_TRUE(workers_of(answer("localhost", ""), "localhost").empty());
    for (const char* odd : {"{}", R"({"workers":5})", R"({"workers":[5,{},{"hive":1}]})"}) {
        EXPECT_TRUE(workers_of(json::parse(odd).as_object(), "localhost").empty()) << odd;
    }
}

} // namespace
} // namespace rbee::cli
