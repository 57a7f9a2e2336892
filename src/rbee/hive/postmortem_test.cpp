#include "rbee/hive/postmortem.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <utility>

#include "support/temp_dir.hpp"

namespace rbee::hive {
namespace {

using domain::ExitKind;
using domain::WorkerState;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

/// A worker in service that was killed by `signal` after 200 s.
Postmortem killed_by(int signal) {
    Postmortem death;
    Supervisor::ExitReport& report = death.report;
    report.worker.id = "worker-1";
    report.worker.model = "tiny";
    report.worker.model_ref = "tiny";
    report.worker.pid = 42;
    report.worker.state = WorkerState::dying;
    report.kind = ExitKind::crash;
    report.status.signal = signal;
    report.how = report.status.describe();
    report.started = TimePoint(1s);
    report.ready = TimePoint(2s);
    report.died = TimePoint(201s);
    death.next.state = WorkerState::crashed;
    return death;
}

TEST(CrashCause, NamesWhatEndedTheProcess) {
    const auto cause = [](int signal) { return crash_cause(killed_by(signal).report); };
    EXPECT_EQ(cause(SIGSEGV), CrashCause::segfault);
    EXPECT_EQ(cause(SIGBUS), CrashCause::segfault);
    EXPECT_EQ(cause(SIGABRT), CrashCause::abort);
    EXPECT_EQ(cause(SIGKILL), CrashCause::killed);
    EXPECT_EQ(cause(SIGTERM), CrashCause::other_signal);
}

TEST(CrashCause, WhatIsKnownBetterThanTheSignalWins) {
    auto report = killed_by(SIGKILL).report;
    report.kind = ExitKind::out_of_memory;
    EXPECT_EQ(crash_cause(report), CrashCause::out_of_memory);
    report.kind = ExitKind::crash;
    report.stalled = true;
    EXPECT_EQ(crash_cause(report), CrashCause::stalled);
    report.ready.reset();
    EXPECT_EQ(crash_cause(report), CrashCause::loading);
}

TEST(CrashCause, ExitCodes) {
    auto report = killed_by(0).report;
    report.status.signal.reset();
    EXPECT_EQ(crash_cause(report), CrashCause::unknown) << "an adopted process may tell nothing";
    report.status.code = 3;
    EXPECT_EQ(crash_cause(report), CrashCause::exit_code);
    report.kind = ExitKind::clean;
    EXPECT_EQ(crash_cause(report), CrashCause::clean_exit);
    report.kind = ExitKind::configuration;
    EXPECT_EQ(crash_cause(report), CrashCause::configuration);
}

TEST(Summary, TellsHowWhenAndWhatComesNext) {
    auto death = killed_by(SIGSEGV);
    EXPECT_EQ(
        summary_of(death), "killed by signal 11 (SIGSEGV) after 3 min; it is not started again"
    );
    death.report.status.usage = process::Usage{.peak_bytes = 1'200'000'000};
    death.next.state = WorkerState::backoff;
    death.next.attempt = 1;
    death.next.attempts_max = 3;
    death.next.next_restart = "2026-01-31T08:00:01.000Z";
    EXPECT_EQ(
        summary_of(death),
        "killed by signal 11 (SIGSEGV) after 3 min, 1.2 GB of memory at most; restart 1 of 3 at "
        "2026-01-31T08:00:01.000Z"
    );
}

TEST(Summary, HasWhatTheWorkerSaidItselfAndNoSecret) {
    auto death = killed_by(SIGABRT);
    death.report.pulse.emplace();
    death.report.pulse->fatal = "bad tensor, token=abc\nsecond line";
    const std::string line = summary_of(death);
    EXPECT_THAT(line, HasSubstr("bad tensor, token=[REDACTED] second line; killed by signal 6"));
    death.report.how = "x (bad tensor, token=abc\nsecond line)";
    EXPECT_THAT(summary_of(death), Not(HasSubstr("; x"))) << "not twice";
}

TEST(PostmortemJson, HasAllThatIsKnown) {
    auto death = killed_by(SIGKILL);
    death.report.requests = {"a", "b"};
    death.report.dying = TimePoint(200s);
    death.report.oom_evidence = "the kernel's log: Killed process 42";
    death.report.status.usage = process::Usage{.user = 1500ms, .peak_bytes = 7};
    death.report.pulse.emplace();
    death.report.pulse->steps = 99;
    death.log = "last words\n";
    const auto object = to_json(death, "0001-worker-1");
    EXPECT_EQ(object.at("id"), "0001-worker-1");
    EXPECT_EQ(object.at("signal"), SIGKILL);
    EXPECT_TRUE(object.at("exit_code").is_null());
    EXPECT_EQ(object.at("cause"), "killed");
    EXPECT_EQ(object.at("kind"), "crash");
    EXPECT_EQ(object.at("uptime_ms"), 200'000);
    EXPECT_EQ(object.at("dying_ms"), 1000);
    EXPECT_EQ(object.at("steps").to_number<int>(), 99);
    EXPECT_EQ(object.at("usage").at("user_ms"), 1500);
    EXPECT_EQ(object.at("requests"), (boost::json::array{"a", "b"}));
    EXPECT_EQ(object.at("restart").at("state"), "crashed");
    EXPECT_EQ(object.at("log"), "last words\n");
    EXPECT_EQ(object.at("oom_evidence"), "the kernel's log: Killed process 42");
}

TEST(PostmortemJson, CountsRequestsThatAreTooManyToName) {
    auto death = killed_by(SIGKILL);
    death.report.requests.assign(1000, "id");
    const auto object = to_json(death, "x");
    EXPECT_EQ(object.at("requests").as_array().size(), 256U);
    EXPECT_EQ(object.at("requests_total").to_number<int>(), 1000);
}

class LogEndTest : public testing::Test {
protected:
    void write(const std::string& text) const { std::ofstream(path_, std::ios::app) << text; }
    test::TempDir folder_;
    std::string path_ = folder_ / "worker-1.log";
};

TEST_F(LogEndTest, IsWhatThisProcessWrote) {
    write("earlier life\n");
    write("mine\napi_key=s3cret\n");
    const LogEnd end = read_log_end(path_, 13);
    EXPECT_EQ(end.text, "mine\napi_key=[REDACTED]\n");
    EXPECT_FALSE(end.cut);
    EXPECT_EQ(read_log_end(path_, 33).text, "");
}

TEST_F(LogEndTest, IsCutAtALineBecausePartOfASecretIsNotKnownAsOne) {
    write("rbee_" + std::string(43, 'Z') + "_0aB9xY" + std::string(70'000, ' ') + "\n");
    std::string rest;
    while (rest.size() < 60'000) {
        rest += "line\n";
    }
    write(rest);
    const LogEnd end = read_log_end(path_, 0);
    EXPECT_TRUE(end.cut);
    EXPECT_EQ(end.text, rest);
}

TEST_F(LogEndTest, AFileThatWasCutMeanwhileIsReadAsItIs) {
    write("after the cut\n");
    EXPECT_EQ(read_log_end(path_, 5000).text, "after the cut\n");
    EXPECT_EQ(read_log_end(folder_ / "none.log", 0).text, "");
}

} // namespace
} // namespace rbee::hive
