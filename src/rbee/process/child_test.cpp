#include "rbee/base/unique_fd.hpp"
#include "rbee/process/child.hpp"
#include "rbee/process/lifeline.hpp"
#include "rbee/process/log_file.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/temp_dir.hpp"

namespace rbee::process {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::string slurp(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

bool exists(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

class ChildTest : public testing::Test {
protected:
    Command shell(std::string script) {
        return {
            .program = "/bin/sh",
            .args = {"-c", std::move(script)},
            .env = {"PATH=/usr/bin:/bin"},
            .log_path = folder_ / "log",
        };
    }
    std::unique_ptr<Child> start(const Command& command) {
        auto child = Child::spawn(loop_.get_executor(), command);
        EXPECT_TRUE(child.has_value()) << (child ? "" : child.error().what);
        return child ? std::move(*child) : nullptr;
    }
    /// Runs the loop until the child has ended.
    ExitStatus finish(Child& child) {
        while (child.running()) {
            loop_.run_one_for(milliseconds(100));
        }
        return child.exit_status().value_or(ExitStatus{});
    }
    /// Runs the loop until the shell has written `text`.
    void await_log(const std::string& text) {
        const auto give_up = std::chrono::steady_clock::now() + seconds(20);
        while (slurp(folder_ / "log").find(text) == std::string::npos &&
               std::chrono::steady_clock::now() < give_up) {
            loop_.run_one_for(milliseconds(2));
        }
    }
    asio::awaitable<void> wait(Child& child) { seen_.push_back(co_await child.wait()); }
    asio::awaitable<void> wait_briefly(Child& child) {
        const auto status =
            co_await child.wait_until(std::chrono::steady_clock::now() + milliseconds(20));
        late_ = !status;
    }
    asio::awaitable<void> stop(Child& child, Duration grace) {
        outcome_ = co_await child.stop(grace, seconds(10));
    }
    void spawn(asio::awaitable<void> task) {
        asio::co_spawn(loop_, std::move(task), asio::detached);
    }
    void run() {
        loop_.restart();
        loop_.run();
    }

    test::TempDir folder_;
    asio::io_context loop_;
    std::vector<ExitStatus> seen_;
    std::optional<StopOutcome> outcome_;
    bool late_ = false;
};

TEST_F(ChildTest, EveryWaiterSeesTheExitCode) {
    const auto child = start(shell("exit 3"));
    spawn(wait(*child));
    spawn(wait(*child));
    run();
    ASSERT_EQ(seen_.size(), 2U);
    EXPECT_EQ(seen_[0].code, 3);
    EXPECT_EQ(seen_[1].describe(), "exit code 3");
    EXPECT_FALSE(seen_[0].success());
    EXPECT_FALSE(child->running());
    spawn(wait(*child));
    run();
    EXPECT_EQ(seen_.size(), 3U) << "a late waiter does not wait";
}

TEST_F(ChildTest, IsReapedWithoutAWaiter) {
    const auto child = start(shell("exit 0"));
    run();
    EXPECT_EQ(::waitpid(child->pid(), nullptr, WNOHANG), -1) << "no zombie is left";
    EXPECT_TRUE(child->exit_status()->success());
}

TEST_F(ChildTest, ADeathBySignalIsNamed) {
    const auto child = start(shell("kill -9 $$"));
    EXPECT_EQ(finish(*child).describe(), "killed by signal 9 (SIGKILL)");
    EXPECT_EQ(child->send_signal(SIGTERM).error().code, Errc::not_found);
}

TEST_F(ChildTest, TheKernelTellsWhatItUsed) {
    const auto child = start(shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"));
    const auto usage = finish(*child).usage;
    ASSERT_TRUE(usage);
    EXPECT_GT((usage->user + usage->system).count(), 0);
    EXPECT_GT(usage->peak_bytes, 100'000U);
}

TEST_F(ChildTest, AWaitHasALimit) {
    const auto child = start({.program = "/bin/sleep", .args = {"600"}});
    spawn(wait_briefly(*child));
    while (!late_) {
        loop_.run_one();
    }
    EXPECT_TRUE(child->running());
    EXPECT_FALSE(child->exit_status().has_value());
}

TEST_F(ChildTest, StopIsPoliteFirst) {
    const auto child =
        start(shell("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done"));
    await_log("up");
    spawn(stop(*child, seconds(10)));
    run();
    EXPECT_EQ(outcome_->step, StopStep::terminated);
    EXPECT_EQ(outcome_->status.code, 7);
    EXPECT_NE(slurp(folder_ / "log").find("bye"), std::string::npos);
}

TEST_F(ChildTest, StopKillsWhoeverIgnoresIt) {
    const auto child = start(shell("trap '' TERM; echo up; while :; do sleep 0.01; done"));
    await_log("up");
    spawn(stop(*child, milliseconds(50)));
    run();
    EXPECT_EQ(outcome_->step, StopStep::killed);
    EXPECT_EQ(outcome_->status.signal, SIGKILL);
    EXPECT_GE(outcome_->took, milliseconds(50));
    spawn(stop(*child, seconds(1)));
    run();
    EXPECT_EQ(outcome_->step, StopStep::already_ended);
}

TEST_F(ChildTest, TheDestructorKillsAndReaps) {
    auto child = start({.program = "/bin/sleep", .args = {"600"}});
    const pid_t pid = child->pid();
    EXPECT_TRUE(exists(pid));
    spawn(wait(*child));
    loop_.poll();
    child.reset();
    EXPECT_FALSE(exists(pid));
    run();
    ASSERT_EQ(seen_.size(), 1U);
    EXPECT_EQ(seen_[0].signal, SIGKILL);
}

TEST_F(ChildTest, ItsOwnChildrenGoWithIt) {
    const auto child = start(shell("sleep 600 & echo pid $! end; exit 0"));
    await_log("end");
    finish(*child);
    const std::string text = slurp(folder_ / "log");
    const auto pid = static_cast<pid_t>(std::stol(text.substr(text.find("pid ") + 4)));
    const auto give_up = std::chrono::steady_clock::now() + seconds(20);
    // init reaps it, when it likes
    const auto gone = [&] {
        const std::string status = slurp("/proc/" + std::to_string(pid) + "/stat");
        return status.empty() || status.find(") Z") != std::string::npos;
    };
    while (!gone() && std::chrono::steady_clock::now() < give_up) {
        loop_.run_one_for(milliseconds(5));
    }
    EXPECT_TRUE(gone());
}

TEST_F(ChildTest, ADetachedChildLivesOn) {
    auto child = start({.program = "/bin/sleep", .args = {"600"}});
    const pid_t pid = child->pid();
    child->detach();
    child.reset();
    EXPECT_TRUE(exists(pid));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

TEST_F(ChildTest, GetsNothingButWhatItWasGiven) {
    ::setenv("RBEE_TEST_SECRET", "leak", 1);
    const UniqueFd stray(::open("/dev/null", O_RDONLY)); // not close-on-exec
    const UniqueFd high(::fcntl(stray.get(), F_DUPFD, 100));
    Command command =
        shell("env; ls /proc/$$/fd | tr '\\n' ' '; echo; cat; pwd; ps -o pgid= -p $$");
    command.env.emplace_back("GIVEN=yes");
    command.cwd = folder_.path();
    const auto child = start(command);
    EXPECT_TRUE(finish(*child).success());
    const std::string text = slurp(folder_ / "log");
    EXPECT_NE(text.find("GIVEN=yes"), std::string::npos);
    EXPECT_EQ(text.find("leak"), std::string::npos);
    EXPECT_NE(text.find("\n0 1 2"), std::string::npos) << text;
    EXPECT_EQ(text.find(" 100"), std::string::npos) << text;
    EXPECT_NE(text.find(std::filesystem::canonical(folder_.path()).string()), std::string::npos);
    EXPECT_NE(text.find(std::to_string(child->pid())), std::string::npos) << "its own group";
}

TEST_F(ChildTest, DescriptorsMayTradeNumbers) {
    std::ofstream(folder_ / "a") << "from a";
    std::ofstream(folder_ / "b") << "from b";
    const UniqueFd a(::open((folder_ / "a").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd b(::open((folder_ / "b").c_str(), O_RDONLY | O_CLOEXEC));
    Command command = shell("cat <&3; cat <&4; cat <&5");
    // each number is the source of one and the target of the other
    UniqueFd three(::fcntl(a.get(), F_DUPFD_CLOEXEC, 3));
    command.inherit = {{b.get(), 3}, {a.get(), 4}, {three.get(), 5}};
    const auto child = start(command);
    finish(*child);
    EXPECT_EQ(slurp(folder_ / "log"), "from bfrom a"); // 5 shares the offset of 4
}

TEST_F(ChildTest, SignalsAreAsNew) {
    sigset_t blocked;
    sigset_t before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const auto ignored = std::signal(SIGPIPE, SIG_IGN);
    const auto child = start(shell("grep -E 'Sig(Blk|Ign)' /proc/self/status"));
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    std::signal(SIGPIPE, ignored);
    finish(*child);
    const std::string text = slurp(folder_ / "log");
    EXPECT_NE(text.find("SigBlk:\t0000000000000000\n"), std::string::npos) << text;
    // 32 and 33 are glibc's own
    EXPECT_TRUE(
        text.find("SigIgn:\t0000000180000000\n") != std::string::npos ||
        text.find("SigIgn:\t0000000000000000\n") != std::string::npos
    ) << text;
}

TEST_F(ChildTest, IsKilledFirstWhenMemoryRunsOutAndHasItsLimits) {
    // What is applied comes right after the start, so the script waits for it.
    Command command = shell(
        "until [ \"$(cat /proc/self/oom_score_adj)\" = 500 ]; do :; done; ulimit -Sn; ulimit -Sc"
    );
    command.oom_score_adj = 500;
    command.limits = {
        {.resource = RLIMIT_CORE, .value = 0},
        {.resource = RLIMIT_NOFILE, .value = 77},
    };
    const auto child = start(command);
    EXPECT_TRUE(finish(*child).success());
    EXPECT_EQ(slurp(command.log_path), "77\n0\n");
}

TEST_F(ChildTest, OutputAloneGoesToADescriptor) {
    Command command = shell("echo said; echo complained >&2");
    command.log_path.clear();
    const std::string path = folder_ / "output";
    const UniqueFd output(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    command.output_fd = output.get();
    const auto child = start(command);
    ASSERT_NE(child, nullptr);
    EXPECT_TRUE(finish(*child).success());
    EXPECT_EQ(slurp(path), "said\n");
}

TEST_F(ChildTest, MayHaveASessionOfItsOwn) {
    Command command = shell("sleep 60");
    command.own_session = true;
    const auto child = start(command);
    ASSERT_NE(child, nullptr);
    EXPECT_EQ(::getsid(child->pid()), child->pid());
    EXPECT_NE(::getsid(child->pid()), ::getsid(0));
    EXPECT_EQ(::getpgid(child->pid()), child->pid());
}

TEST_F(ChildTest, FailuresToStartAreReadable) {
    const auto missing = Child::spawn(loop_.get_executor(), {.program = "/no/such/program"});
    ASSERT_FALSE(missing.has_value());
    EXPECT_EQ(missing.error().code, Errc::not_found);
    EXPECT_EQ(missing.error().what, "cannot start /no/such/program: No such file or directory");
    const auto data = Child::spawn(loop_.get_executor(), {.program = "/etc/passwd"});
    EXPECT_EQ(data.error().code, Errc::forbidden);
    Command bad = shell("true");
    bad.inherit = {{12345, 3}};
    EXPECT_EQ(Child::spawn(loop_.get_executor(), bad).error().code, Errc::invalid_argument);
    bad.inherit = {{0, 2}};
    EXPECT_EQ(Child::spawn(loop_.get_executor(), bad).error().code, Errc::invalid_argument);
}

TEST_F(ChildTest, LeavesNoDescriptorsBehind) {
    const auto count = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
    };
    {
        const auto warm_up = start(shell("true"));
        finish(*warm_up);
    }
    const auto before = count();
    for (int i = 0; i < 5; ++i) {
        const auto child = start(shell("true"));
        finish(*child);
    }
    EXPECT_EQ(count(), before);
}

TEST_F(ChildTest, ALifelineEndsWithTheParentsSide) {
    auto lifeline = Lifeline::make();
    ASSERT_TRUE(lifeline.has_value());
    Command command = shell("echo up; read x <&3; echo over; exit 5");
    command.inherit = {{lifeline->child_end(), 3}};
    const auto child = start(command);
    lifeline->close_child_end();
    await_log("up");
    EXPECT_TRUE(child->running());
    lifeline->cut();
    EXPECT_EQ(finish(*child).code, 5);
}

TEST_F(ChildTest, TheChildsSideCallsBackOnce) {
    auto lifeline = Lifeline::make();
    ASSERT_TRUE(lifeline.has_value());
    int calls = 0;
    const auto watch =
        watch_lifeline(loop_.get_executor(), ::dup(lifeline->child_end()), [&calls] { ++calls; });
    loop_.poll();
    EXPECT_EQ(calls, 0);
    lifeline->cut();
    run();
    EXPECT_EQ(calls, 1);
}

TEST_F(ChildTest, OnlyAParentThatSaysSoLetsItsChildGoOn) {
    auto lifeline = Lifeline::make();
    int calls = 0;
    const auto watch =
        watch_lifeline(loop_.get_executor(), ::dup(lifeline->child_end()), [&calls] { ++calls; });
    loop_.poll();
    EXPECT_FALSE(watch->may_survive());
    EXPECT_TRUE(lifeline->allow_survival());
    lifeline->cut();
    run();
    EXPECT_TRUE(watch->may_survive());
    EXPECT_EQ(calls, 1);
}

TEST_F(ChildTest, AChildThatHasGoneIsNoTroubleForItsParent) {
    auto lifeline = Lifeline::make();
    lifeline->close_child_end();
    EXPECT_FALSE(lifeline->allow_survival()) << "and no SIGPIPE";
}

TEST_F(ChildTest, ADroppedWatchDoesNotCall) {
    auto lifeline = Lifeline::make();
    int calls = 0;
    auto watch =
        watch_lifeline(loop_.get_executor(), ::dup(lifeline->child_end()), [&calls] { ++calls; });
    lifeline->cut();
    watch.reset();
    run();
    EXPECT_EQ(calls, 0);
}

TEST_F(ChildTest, WritesIntoALogFileThatIsCutUnderIt) {
    const LogFile log(folder_ / "logs/w1.log", 100);
    auto fd = log.open();
    ASSERT_TRUE(fd.has_value());
    Command command = shell("printf '%0200d\\n' 1 >&2; read x <&3; echo after");
    auto gate = Lifeline::make();
    command.log_fd = fd->get();
    command.inherit = {{gate->child_end(), 3}};
    const auto child = start(command);
    gate->close_child_end();
    const auto give_up = std::chrono::steady_clock::now() + seconds(20);
    while (slurp(log.path()).size() < 201 && std::chrono::steady_clock::now() < give_up) {
        loop_.run_one_for(milliseconds(2));
    }
    EXPECT_EQ(log.enforce_limit().value_or(false), true);
    gate->cut();
    finish(*child);
    EXPECT_EQ(slurp(log.path()), "after\n") << "O_APPEND: no hole after the cut";
    EXPECT_EQ(slurp(log.path() + ".1").size(), 100U);
}

} // namespace
} // namespace rbee::process
