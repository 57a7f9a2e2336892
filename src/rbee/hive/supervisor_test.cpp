#include "rbee/hive/supervisor.hpp"
#include "rbee/http/reaper.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/fake_timers.hpp"
#include "support/fake_workers.hpp"

namespace rbee::hive {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using domain::WorkerState;
using namespace std::chrono_literals;

/// Folder, settings and what every supervisor needs; the timers are the test's choice.
class SupervisorTest : public testing::Test {
protected:
    SupervisorTest() {
        std::string pattern = testing::TempDir() + "rbee-hive-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        settings_.worker.log_dir = (root_ / "logs").string();
        settings_.worker.ports = {0, 0};
        settings_.worker.environment = {"PATH=/usr/bin:/bin"};
    }
    ~SupervisorTest() override { fs::remove_all(root_); }

    /// Makes the worker program a shell script.
    void script(const std::string& body) {
        const fs::path path = root_ / "worker";
        std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
        fs::permissions(path, fs::perms::owner_all);
        settings_.worker.binary = path.string();
    }

    static Supervisor::Order order() {
        Supervisor::Order out;
        out.model = {{domain::ModelRef::Provider::name, "tiny"}, "tiny", "/models/tiny.gguf", 1000};
        out.backend = "cpu";
        out.slots = 2;
        return out;
    }

    /// Runs one coroutine of a supervisor to its end; everything else runs meanwhile.
    template <typename T>
    T await(asio::awaitable<T> work) {
        std::optional<T> out;
        asio::co_spawn(loop_, std::move(work), [&](const std::exception_ptr& failure, T value) {
            EXPECT_FALSE(failure);
            out = std::move(value);
        });
        loop_.restart();
        while (!out && loop_.run_one_for(20s) > 0) {
        }
        return std::move(*out);
    }

    fs::path root_;
    Settings settings_;
    asio::io_context loop_{1};
    std::shared_ptr<telemetry::LogCapture> lines_ = std::make_shared<telemetry::LogCapture>();
    telemetry::Logger log_ = *telemetry::Logger::open({.component = "test", .capture = lines_});
    telemetry::Metrics metrics_;
    HiveMetrics hive_metrics_{metrics_};
    http::Reaper reaper_{loop_.get_executor()};
    http::Client client_{loop_.get_executor(), reaper_};
    auth::Authenticator tokens_;
};

/// With real processes and real time; each case ends as soon as the process does.
class SupervisorProcessTest : public SupervisorTest {
protected:
    ~SupervisorProcessTest() override {
        supervisor_.hurry();
        (void)await(finish());
    }
    asio::awaitable<bool> finish() {
        co_await supervisor_.stop_all("the test is over");
        co_await supervisor_.join();
        reaper_.stop();
        co_return true;
    }
    [[nodiscard]] std::string log_of(const std::string& id) const {
        std::ifstream in(settings_.worker.log_dir + "/" + id + ".log");
        return {std::istreambuf_iterator<char>(in), {}};
    }

    runtime::SystemTimers timers_{loop_.get_executor()};
    WorkerRegistry registry_{timers_.clock()};
    ChildLauncher launcher_{loop_.get_executor()};
    Supervisor supervisor_{
        {timers_, log_, hive_metrics_, registry_, launcher_, client_, settings_, tokens_}
    };
};

TEST_F(SupervisorProcessTest, A_worker_that_ends_at_once_fails_with_its_last_words) {
    script("echo 'cannot load the model: it is a teapot' >&2; exit 3");
    std::vector<Supervisor::ExitReport> reports;
    supervisor_.on_exit([&](const Supervisor::ExitReport& report) { reports.push_back(report); });
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    EXPECT_GT(*started->pid, 0);
    const auto settled = await(supervisor_.settled(started->id, 10s));
    ASSERT_FALSE(settled);
    EXPECT_EQ(settled.error().wire_code, "WORKER_FAILED");
    EXPECT_THAT(settled.error().what, testing::HasSubstr("it is a teapot"));
    EXPECT_THAT(settled.error().what, testing::HasSubstr("exit code 3"));
    EXPECT_EQ(registry_.find(started->id)->info.state, WorkerState::failed);
    EXPECT_FALSE(registry_.find(started->id)->info.pid);
    ASSERT_EQ(reports.size(), 1U);
    EXPECT_FALSE(reports.front().requested);
    EXPECT_EQ(supervisor_.running(), 0U);
}

TEST_F(
    SupervisorProcessTest, The_worker_gets_its_socket_its_lifeline_and_a_token_that_nobody_sees
) {
    script("echo \"$@\"; env; echo token=$(cat <&5); exit 1");
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    EXPECT_EQ(tokens_.size(), 1U);
    EXPECT_TRUE(tokens_.open()); // no token of an administrator's: still dev mode
    EXPECT_FALSE(await(supervisor_.settled(started->id, 10s)));
    const std::string log = log_of(started->id);
    EXPECT_THAT(log, testing::HasSubstr("--worker-id " + started->id));
    EXPECT_THAT(log, testing::HasSubstr("--listen-fd 3"));
    EXPECT_THAT(log, testing::HasSubstr("--lifeline-fd 4"));
    EXPECT_THAT(log, testing::HasSubstr("--token-fd 5"));
    const auto at = log.find("token=rbee_");
    ASSERT_NE(at, std::string::npos) << log;
    EXPECT_THAT(log.substr(0, at), testing::Not(testing::HasSubstr("rbee_")));
    EXPECT_EQ(tokens_.size(), 0U); // forgotten with the worker
}

TEST_F(SupervisorProcessTest, A_worker_without_a_report_yet_is_stopped_by_a_signal) {
    script("exec sleep 60");
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    EXPECT_TRUE(await(supervisor_.stop(started->id, "asked")));
    EXPECT_EQ(registry_.find(started->id), nullptr);
    EXPECT_EQ(supervisor_.running(), 0U);
}

TEST_F(SupervisorProcessTest, A_worker_that_ignores_signals_is_killed) {
    settings_.life.stop_term = 50ms;
    settings_.life.stop_kill = 100ms;
    script("trap '' TERM; echo deaf; while true; do sleep 1; done");
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    while (log_of(started->id).empty()) { // the trap is set once it speaks
        loop_.restart();
        loop_.run_one_for(10ms);
    }
    EXPECT_TRUE(await(supervisor_.stop(started->id, "asked")));
    EXPECT_TRUE(lines_->contains("worker_force_killed"));
    EXPECT_TRUE(lines_->contains("SIGKILL"));
    EXPECT_EQ(registry_.find(started->id), nullptr);
}

TEST_F(SupervisorProcessTest, All_are_stopped_together_and_counted) {
    script("exec sleep 60");
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(supervisor_.spawn(order()));
    }
    EXPECT_TRUE(await(finish()));
    EXPECT_EQ(supervisor_.running(), 0U);
    EXPECT_TRUE(registry_.list().empty());
    EXPECT_TRUE(lines_->contains("3/3 workers stopped"));
    EXPECT_EQ(supervisor_.spawn(order()).error().code, Errc::unavailable);
}

TEST_F(SupervisorProcessTest, A_killed_worker_in_service_has_crashed_and_the_cause_is_known) {
    script("exec sleep 60");
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    api::ReadyNotice notice;
    notice.worker_id = started->id;
    notice.slots_total = 4;
    ASSERT_TRUE(supervisor_.report(notice));
    EXPECT_EQ(registry_.find(started->id)->info.slots_available, 4U);
    EXPECT_FALSE(await(supervisor_.explain_death(started->id, 1, 1ms)));
    ASSERT_EQ(::kill(static_cast<pid_t>(*started->pid), SIGKILL), 0);
    const auto cause = await(supervisor_.explain_death(started->id, 1, 10s));
    ASSERT_TRUE(cause);
    EXPECT_THAT(*cause, testing::HasSubstr("SIGKILL"));
    EXPECT_EQ(registry_.find(started->id)->info.state, WorkerState::crashed);
}

TEST_F(SupervisorProcessTest, A_program_that_is_not_there_is_a_readable_failure) {
    settings_.worker.binary = (root_ / "absent").string();
    const auto started = supervisor_.spawn(order());
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().wire_code, "WORKER_FAILED");
    EXPECT_TRUE(registry_.list().empty());
}

/// With processes and time that are not real.
class SupervisorTimeTest : public SupervisorTest {
protected:
    ~SupervisorTimeTest() override {
        supervisor_.hurry();
        asio::co_spawn(loop_, supervisor_.join(), asio::detached);
        reaper_.stop();
        timers_.settle();
    }
    [[nodiscard]] const api::WorkerInfo& info(const std::string& id) const {
        return registry_.find(id)->info;
    }

    test::FakeClock clock_;
    test::FakeTimers timers_{clock_, loop_};
    WorkerRegistry registry_{clock_};
    test::FakeLauncher launcher_{timers_};
    Supervisor supervisor_{
        {timers_, log_, hive_metrics_, registry_, launcher_, client_, settings_, tokens_}
    };
};

TEST_F(SupervisorTimeTest, A_worker_that_never_reports_is_killed_after_30_s) {
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    timers_.advance(29s);
    EXPECT_EQ(info(started->id).state, WorkerState::loading);
    timers_.advance(2s);
    EXPECT_EQ(info(started->id).state, WorkerState::failed);
    EXPECT_THAT(info(started->id).reason, testing::HasSubstr("LOADING_TIMEOUT"));
    EXPECT_THAT(launcher_.records.at(0)->signals, testing::ElementsAre(SIGKILL));
}

TEST_F(SupervisorTimeTest, Loading_may_take_long_as_long_as_it_moves) {
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    ASSERT_TRUE(registry_.called_back(started->id));
    for (const double fraction : {0.1, 0.2, 0.3}) {
        timers_.advance(4min);
        EXPECT_EQ(info(started->id).state, WorkerState::loading);
        ASSERT_TRUE(registry_.load_progressed(started->id, fraction));
    }
    timers_.advance(5min + 1s);
    EXPECT_EQ(info(started->id).state, WorkerState::failed);
    EXPECT_THAT(info(started->id).reason, testing::HasSubstr("stuck at 30 %"));
}

TEST_F(SupervisorTimeTest, A_worker_that_failed_but_stays_is_killed) {
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    api::ReadyNotice notice;
    notice.worker_id = started->id;
    notice.state = WorkerState::failed;
    notice.reason = "not a GGUF file";
    ASSERT_TRUE(supervisor_.report(notice));
    timers_.advance(11s);
    EXPECT_EQ(info(started->id).state, WorkerState::failed);
    EXPECT_THAT(info(started->id).reason, testing::HasSubstr("not a GGUF file"));
    EXPECT_FALSE(info(started->id).pid);
}

TEST_F(SupervisorTimeTest, The_stop_ladder_is_term_then_kill_within_20_s) {
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    std::optional<bool> stopped;
    asio::co_spawn(
        loop_,
        supervisor_.stop(started->id, "asked"),
        [&](auto, const Result<void>& done) { stopped = done.has_value(); }
    );
    timers_.advance(9s);
    EXPECT_THAT(launcher_.records.at(0)->signals, testing::ElementsAre(SIGTERM));
    timers_.advance(10s);
    EXPECT_FALSE(stopped);
    timers_.advance(2s);
    EXPECT_THAT(launcher_.records.at(0)->signals, testing::ElementsAre(SIGTERM, SIGTERM, SIGKILL));
    EXPECT_EQ(stopped, true);
}

TEST_F(SupervisorTimeTest, Stopping_twice_is_one_stop) {
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    int done = 0;
    for (int i = 0; i < 2; ++i) {
        asio::co_spawn(loop_, supervisor_.stop(started->id, "asked"), [&](auto, auto) { ++done; });
    }
    timers_.advance(1s);
    EXPECT_EQ(launcher_.records.at(0)->signals.size(), 1U);
    timers_.advance(20s);
    EXPECT_EQ(done, 2);
}

TEST_F(SupervisorTimeTest, A_hurried_hive_kills_at_once) {
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    bool done = false;
    asio::co_spawn(loop_, supervisor_.stop_all("signal"), [&](auto) { done = true; });
    timers_.settle();
    EXPECT_FALSE(done);
    supervisor_.hurry();
    timers_.settle();
    EXPECT_TRUE(done);
    EXPECT_EQ(supervisor_.running(), 0U);
}

} // namespace
} // namespace rbee::hive
