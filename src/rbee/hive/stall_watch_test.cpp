#include "rbee/hive/stall_watch.hpp"
#include "rbee/http/reaper.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/fake_timers.hpp"
#include "support/fake_workers.hpp"
#include "support/temp_dir.hpp"

namespace rbee::hive {
namespace {

namespace asio = boost::asio;
using domain::WorkerState;
using namespace std::chrono_literals;

/// Starts processes on paper whose pulse pages this test holds.
class PulseLauncher final : public Launcher {
public:
    explicit PulseLauncher(runtime::Timers& timers) : processes(timers) {}
    Result<std::unique_ptr<WorkerProcess>> start(const process::Command& command) override {
        for (const process::InheritedFd& fd : command.inherit) {
            auto taken = process::PulseHolder::take(::fcntl(fd.parent_fd, F_DUPFD_CLOEXEC, 3));
            if (taken) {
                pulses.push_back(*taken);
            }
        }
        return processes.start(command);
    }
    test::FakeLauncher processes;
    std::vector<process::PulseHolder> pulses;
};

class StallWatchTest : public testing::Test {
protected:
    StallWatchTest() {
        settings_.worker.log_dir = folder_ / "logs";
        settings_.worker.ports = {.first = 0, .last = 0};
        watch_.start();
    }
    ~StallWatchTest() override {
        supervisor_.hurry();
        asio::co_spawn(loop_, watch_.stop(), asio::detached);
        asio::co_spawn(loop_, supervisor_.join(), asio::detached);
        reaper_.stop();
        timers_.settle();
    }

    std::string spawn() {
        Supervisor::Order order;
        order.model = {
            {domain::ModelRef::Provider::name, "tiny"}, "tiny", "/models/tiny.gguf", 1000
        };
        order.backend = "cpu";
        order.slots = 2;
        const auto started = supervisor_.spawn(order);
        EXPECT_TRUE(started);
        return started ? started->id : "";
    }
    std::string spawn_ready() {
        const std::string id = spawn();
        api::ReadyNotice notice;
        notice.worker_id = id;
        notice.slots_total = 2;
        EXPECT_TRUE(supervisor_.report(notice));
        return id;
    }
    /// Time passes with an event loop that goes round.
    void pass(Duration time) {
        for (Duration done{}; done < time; done += 1s) {
            launcher_.pulses.at(0).beat();
            timers_.advance(1s);
        }
    }
    [[nodiscard]] Activity& activity() { return launcher_.pulses.at(0).activity(); }
    [[nodiscard]] const std::vector<int>& signals() {
        return launcher_.processes.records.at(0)->signals;
    }
    [[nodiscard]] const api::WorkerInfo& info(const std::string& id) const {
        return registry_.find(id)->info;
    }

    test::TempDir folder_;
    Settings settings_;
    asio::io_context loop_{1};
    test::FakeClock clock_;
    test::FakeTimers timers_{clock_, loop_};
    telemetry::Logger log_ =
        *telemetry::Logger::open({.component = "test", .level = telemetry::Level::off});
    telemetry::Metrics metrics_;
    HiveMetrics hive_metrics_{metrics_};
    http::Reaper reaper_{loop_.get_executor()};
    http::Client client_{loop_.get_executor(), reaper_};
    auth::Authenticator tokens_;
    WorkerRegistry registry_{clock_};
    PulseLauncher launcher_{timers_};
    Supervisor supervisor_{
        {timers_, log_, hive_metrics_, registry_, launcher_, client_, settings_, tokens_}
    };
    StallWatch watch_{{timers_, log_, registry_, supervisor_, settings_.life.progress}};
};

TEST_F(StallWatchTest, A_stuck_loop_is_aborted_and_after_5_s_killed) {
    const std::string id = spawn_ready();
    ASSERT_EQ(launcher_.pulses.size(), 1U);
    activity().busy = 1;
    pass(9s);
    EXPECT_THAT(signals(), testing::IsEmpty());
    EXPECT_EQ(info(id).state, WorkerState::idle);
    pass(2s);
    EXPECT_THAT(signals(), testing::ElementsAre(SIGABRT, SIGCONT));
    EXPECT_EQ(info(id).state, WorkerState::dying); // it gets no requests from now on
    EXPECT_THAT(info(id).reason, testing::HasSubstr("no progress for 10."));
    std::optional<Supervisor::ExitReport> report;
    supervisor_.on_exit([&](const Supervisor::ExitReport& ended) { report = ended; });
    pass(6s);
    EXPECT_THAT(signals(), testing::ElementsAre(SIGABRT, SIGCONT, SIGKILL));
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->stalled);
    EXPECT_EQ(report->kind, domain::ExitKind::crash);
    ASSERT_TRUE(report->pulse);
    EXPECT_EQ(report->pulse->busy, 1U);
}

TEST_F(StallWatchTest, Another_limit_holds_for_workers_that_run) {
    spawn_ready();
    activity().busy = 1;
    pass(5s);
    settings_.life.progress.stall = 20s;
    pass(10s);
    EXPECT_THAT(signals(), testing::IsEmpty());
    settings_.life.progress.stall = 15s;
    pass(2s);
    EXPECT_THAT(signals(), testing::ElementsAre(SIGABRT, SIGCONT));
}

TEST_F(StallWatchTest, A_working_loop_is_left_alone) {
    spawn_ready();
    activity().busy = 1;
    for (int i = 0; i < 60; ++i) {
        activity().step();
        pass(1s);
    }
    activity().busy = 0;
    pass(600s);
    EXPECT_THAT(signals(), testing::IsEmpty());
}

TEST_F(StallWatchTest, A_request_at_a_deaf_worker_ends_it) {
    const std::string id = spawn_ready();
    const auto lease = registry_.take(id, true);
    ASSERT_TRUE(lease);
    timers_.advance(11s);
    EXPECT_THAT(signals(), testing::ElementsAre(SIGABRT, SIGCONT));
    EXPECT_THAT(info(id).reason, testing::HasSubstr("event loop"));
}

TEST_F(StallWatchTest, A_load_may_be_long_but_must_move) {
    const std::string id = spawn();
    ASSERT_TRUE(registry_.called_back(id));
    for (int i = 0; i < 20; ++i) { // ten minutes: more than the limit for workers without a page
        activity().step();
        pass(29s);
    }
    EXPECT_THAT(signals(), testing::IsEmpty());
    pass(2s);
    EXPECT_THAT(signals(), testing::ElementsAre(SIGABRT, SIGCONT));
    EXPECT_THAT(info(id).reason, testing::HasSubstr("LOADING_TIMEOUT"));
}

TEST_F(StallWatchTest, The_next_process_of_a_worker_starts_with_a_clean_slate) {
    const std::string id = spawn_ready();
    activity().busy = 1;
    timers_.advance(1s);
    launcher_.processes.records.at(0)->status = process::ExitStatus{};
    supervisor_.hurry();
    timers_.settle();
    ASSERT_TRUE(supervisor_.respawn(id));
    ASSERT_EQ(launcher_.pulses.size(), 2U);
    for (int i = 0; i < 30; ++i) {
        launcher_.pulses.at(1).beat();
        launcher_.pulses.at(1).activity().step();
        timers_.advance(1s);
    }
    EXPECT_THAT(launcher_.processes.records.at(1)->signals, testing::IsEmpty());
}

} // namespace
} // namespace rbee::hive
