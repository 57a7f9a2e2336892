#include "rbee/base/unique_fd.hpp"
#include "rbee/process/adopted.hpp"
#include "rbee/process/kernel_file.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace rbee::process {
namespace {

namespace asio = boost::asio;
using std::chrono::seconds;

/// Processes that are somebody else's as far as the class can tell: it never waits as a parent.
class AdoptedProcessTest : public testing::Test {
protected:
    ~AdoptedProcessTest() override {
        if (pid_ > 0) {
            ::kill(-pid_, SIGKILL);
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
    }
    /// One that leads its group and runs `body` until its end.
    template <typename F>
    pid_t start(F body) {
        pid_ = ::fork();
        if (pid_ == 0) {
            ::setpgid(0, 0);
            body();
            ::_exit(7);
        }
        ::setpgid(pid_, pid_);
        return pid_;
    }
    static void sleep_long() { ::sleep(100); }

    ExitStatus end_of(AdoptedProcess& process) {
        std::optional<ExitStatus> out;
        asio::co_spawn(loop_, process.wait(), [&](const std::exception_ptr&, ExitStatus status) {
            out = status;
        });
        loop_.restart();
        while (!out && loop_.run_one_for(seconds(20)) > 0) {
        }
        EXPECT_TRUE(out.has_value());
        return out.value_or(ExitStatus{});
    }

    asio::io_context loop_{1};
    pid_t pid_ = -1;
};

TEST_F(AdoptedProcessTest, TellsHowAProcessEndedThatItDidNotStart) {
    const pid_t pid = start(sleep_long);
    auto process = AdoptedProcess::open(loop_.get_executor(), pid, start_ticks_of(pid).value_or(0));
    ASSERT_TRUE(process);
    EXPECT_TRUE((*process)->running());
    EXPECT_EQ((*process)->pid(), pid);
    (*process)->send(SIGTERM);
    const ExitStatus status = end_of(**process);
    EXPECT_EQ(status.signal, SIGTERM);
    EXPECT_FALSE((*process)->running());
    EXPECT_EQ(start_ticks_of(pid), std::nullopt) << "a zombie has ended";
}

TEST_F(AdoptedProcessTest, TellsTheExitCode) {
    const pid_t pid = start([] { ::usleep(50'000); });
    auto process = AdoptedProcess::open(loop_.get_executor(), pid, start_ticks_of(pid).value_or(0));
    ASSERT_TRUE(process);
    EXPECT_EQ(end_of(**process).code, 7);
}

TEST_F(AdoptedProcessTest, AProcessThatGotTheNumberLaterIsAnother) {
    const pid_t pid = start(sleep_long);
    const auto ticks = start_ticks_of(pid);
    ASSERT_TRUE(ticks);
    const auto other = AdoptedProcess::open(loop_.get_executor(), pid, *ticks + 1);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, Errc::not_found);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    EXPECT_FALSE(AdoptedProcess::open(loop_.get_executor(), std::exchange(pid_, -1), *ticks));
}

TEST_F(AdoptedProcessTest, WhatIsLeftOfItsGroupGoesWithIt) {
    int ends[2] = {-1, -1}; // NOLINT(modernize-avoid-c-arrays): as pipe() takes it
    ASSERT_EQ(::pipe(ends), 0);
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    const pid_t pid = start([] {
        if (::fork() == 0) {
            sleep_long(); // holds the writing end
        }
        ::usleep(50'000);
    });
    writing.reset();
    auto process = AdoptedProcess::open(loop_.get_executor(), pid, start_ticks_of(pid).value_or(0));
    ASSERT_TRUE(process);
    end_of(**process);
    pollfd end{.fd = reading.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&end, 1, 10'000), 1) << "the grandchild lives on";
}

TEST_F(AdoptedProcessTest, AProcessThatEndsWhileItIsLookedAtIsNotThere) {
    const auto give_up = std::chrono::steady_clock::now() + seconds(1);
    while (std::chrono::steady_clock::now() < give_up) {
        const pid_t pid = start([] {});
        std::thread reaper([pid] { ::waitpid(pid, nullptr, 0); });
        while (read_kernel_file("/proc/" + std::to_string(pid) + "/stat")) {
        }
        EXPECT_EQ(start_ticks_of(pid), std::nullopt);
        reaper.join();
        pid_ = -1;
    }
}

TEST_F(AdoptedProcessTest, LeavesTheProcessAloneWhenItGoes) {
    const pid_t pid = start(sleep_long);
    auto process = AdoptedProcess::open(loop_.get_executor(), pid, start_ticks_of(pid).value_or(0));
    ASSERT_TRUE(process);
    process->reset();
    loop_.poll();
    EXPECT_TRUE(start_ticks_of(pid));
}

TEST(ProcessIdentity, ABootIdIsThere) {
    EXPECT_EQ(boot_id().size(), 36U);
    EXPECT_EQ(boot_id(), boot_id());
    EXPECT_TRUE(start_ticks_of(::getpid()));
}

} // namespace
} // namespace rbee::process
