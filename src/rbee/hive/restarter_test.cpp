#include "rbee/hive/restarter.hpp"
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
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/fake_timers.hpp"
#include "support/fake_workers.hpp"

namespace rbee::hive {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using domain::WorkerState;
using namespace std::chrono_literals;

process::ExitStatus killed_by(int signal) {
    process::ExitStatus status;
    status.signal = signal;
    return status;
}

process::ExitStatus exited(int code) {
    process::ExitStatus status;
    status.code = code;
    return status;
}

/// Processes and time that are not real; jitter is off unless a test wants it.
class RestarterTest : public testing::Test {
protected:
    RestarterTest() {
        std::string pattern = testing::TempDir() + "rbee-restart-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        settings_.worker.log_dir = root_.string();
        settings_.worker.ports = {0, 0};
        settings_.restart.all.restart.jitter_percent = 0;
        settings_.restart.all.breaker.jitter_percent = 0;
    }
    ~RestarterTest() override {
        supervisor_.hurry();
        asio::co_spawn(loop_, restarter_.stop(), asio::detached);
        asio::co_spawn(loop_, supervisor_.join(), asio::detached);
        reaper_.stop();
        timers_.settle();
        fs::remove_all(root_);
    }

    static Supervisor::Order order(const std::string& model = "tiny") {
        Supervisor::Order out;
        out.model = {{domain::ModelRef::Provider::name, model}, model, "/models/" + model, 1000};
        out.backend = "cpu";
        out.slots = 2;
        out.fingerprint = "as it is";
        return out;
    }

    /// Starts a worker as the spawn service does.
    std::string spawn(const std::string& model = "tiny") {
        const auto permit = gate_.admit(order(model));
        EXPECT_TRUE(permit);
        const auto started = supervisor_.spawn(order(model));
        EXPECT_TRUE(started);
        restarter_.try_out(started->id, *permit);
        restarter_.keep(started->id);
        timers_.settle();
        return started->id;
    }

    void ready(const std::string& id) {
        api::ReadyNotice notice;
        notice.worker_id = id;
        notice.slots_total = 2;
        EXPECT_TRUE(supervisor_.report(notice));
        timers_.settle();
    }

    /// The newest process ends.
    void die(const process::ExitStatus& status = killed_by(SIGSEGV)) {
        launcher_.records.back()->end(status);
        timers_.settle();
    }

    /// One of the processes that run ends.
    void end_one() {
        std::vector<test::FakeProcess::Record*> running;
        for (const auto& record : launcher_.records) {
            if (!record->status) {
                running.push_back(record.get());
            }
        }
        if (!running.empty()) {
            running.at(random_() % running.size())->end(killed_by(SIGSEGV));
        }
    }

    [[nodiscard]] const api::WorkerInfo& info(const std::string& id) const {
        return registry_.find(id)->info;
    }
    [[nodiscard]] std::size_t starts() const { return launcher_.records.size(); }

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
    test::FakeClock clock_;
    test::FakeTimers timers_{clock_, loop_};
    WorkerRegistry registry_{clock_};
    test::FakeLauncher launcher_{timers_};
    std::mt19937_64 random_{4711};
    Supervisor supervisor_{
        {timers_, log_, hive_metrics_, registry_, launcher_, client_, settings_, tokens_}
    };
    StartGate gate_{{clock_, log_, hive_metrics_, settings_.restart, [this] { return random_(); }}};
    Result<void> room_;
    int asked_for_room_ = 0;
    Restarter restarter_{
        {timers_,
         log_,
         hive_metrics_,
         registry_,
         supervisor_,
         gate_,
         settings_.restart,
         [this] { return random_(); },
         [this](const Supervisor::Order&) { return look_for_room(); }}
    };

private:
    asio::awaitable<Result<void>> look_for_room() {
        ++asked_for_room_;
        co_return room_;
    }
};

TEST_F(RestarterTest, A_crashed_worker_comes_back_after_a_second_under_its_id) {
    const std::string id = spawn();
    ready(id);
    const std::string url = info(id).url;
    die();
    EXPECT_EQ(info(id).state, WorkerState::backoff);
    EXPECT_FALSE(info(id).pid);
    EXPECT_EQ(info(id).next_restart, "2026-01-01T00:00:01.000Z");
    EXPECT_THAT(info(id).reason, testing::HasSubstr("SIGSEGV"));
    EXPECT_THAT(info(id).reason, testing::HasSubstr("restart 1 of 3"));
    EXPECT_THAT(info(id).last_exit, testing::HasSubstr("SIGSEGV"));
    timers_.advance(999ms);
    EXPECT_EQ(starts(), 1U);
    timers_.advance(1ms);
    EXPECT_EQ(starts(), 2U);
    EXPECT_EQ(info(id).state, WorkerState::loading);
    EXPECT_EQ(info(id).restart_count, 1U);
    EXPECT_EQ(info(id).last_restart, "2026-01-01T00:00:01.000Z");
    EXPECT_FALSE(info(id).next_restart);
    ready(id);
    EXPECT_EQ(info(id).state, WorkerState::idle);
    EXPECT_TRUE(lines_->contains("worker_restart_scheduled"));
}

TEST_F(RestarterTest, Other_rules_hold_for_workers_that_run) {
    const std::string id = spawn();
    die();
    timers_.advance(1s);
    ready(id);
    settings_.restart.all.restart.base = 5s;
    settings_.restart.all.restart.attempts_max = 2;
    die();
    EXPECT_THAT(info(id).reason, testing::HasSubstr("restart 2 of 2"));
    timers_.advance(9s);
    EXPECT_EQ(starts(), 2U);
    timers_.advance(1s);
    EXPECT_EQ(starts(), 3U);
    settings_.restart.all.restart.enabled = false;
    ready(id);
    die();
    timers_.advance(1h);
    EXPECT_EQ(starts(), 3U);
}

TEST_F(RestarterTest, Delays_double_and_after_three_restarts_the_breaker_opens) {
    const std::string id = spawn();
    for (const auto delay : {1s, 2s, 4s}) {
        const std::size_t before = starts();
        die(exited(1));
        timers_.advance(delay - 1ms);
        EXPECT_EQ(starts(), before);
        timers_.advance(1ms);
        EXPECT_EQ(starts(), before + 1);
    }
    die();
    EXPECT_EQ(info(id).state, WorkerState::backoff);
    EXPECT_EQ(info(id).restart_count, 3U);
    EXPECT_TRUE(lines_->contains("circuit_breaker_opened"));
    const auto refused = gate_.admit(order());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().wire_code, "MODEL_UNAVAILABLE");
    EXPECT_THAT(refused.error().what, testing::HasSubstr("SIGSEGV"));
    EXPECT_THAT(refused.error().details, testing::HasSubstr("\"retry_after_s\":300"));
    EXPECT_TRUE(gate_.admit(order("other"))) << "one model's failures are not another's";
    timers_.advance(5min - 1ms);
    EXPECT_EQ(starts(), 4U) << "no start inside the cooldown";
    timers_.advance(1ms);
    EXPECT_EQ(starts(), 5U) << "the one trial";
    EXPECT_FALSE(gate_.admit(order()));
    die();
    timers_.advance(10min - 1ms);
    EXPECT_EQ(starts(), 5U) << "a failed trial doubles the cooldown";
    timers_.advance(1ms);
    EXPECT_EQ(starts(), 6U);
    ready(id);
    timers_.advance(60s);
    EXPECT_TRUE(gate_.admit(order())) << "a minute in service proves it";
    die();
    timers_.advance(1s);
    EXPECT_EQ(starts(), 7U) << "and its attempts begin anew";
}

TEST_F(RestarterTest, One_good_answer_closes_the_breaker) {
    const std::string id = spawn();
    for (int i = 0; i < 4; ++i) {
        die();
        timers_.advance(4s);
    }
    timers_.advance(5min);
    ready(id);
    EXPECT_FALSE(gate_.admit(order()));
    restarter_.served(id);
    EXPECT_TRUE(gate_.admit(order()));
}

TEST_F(RestarterTest, Five_failures_of_several_workers_open_it_and_all_wait) {
    const std::string a = spawn();
    die();
    const std::string b = spawn();
    die();
    timers_.advance(1s); // both run again
    ASSERT_EQ(starts(), 4U);
    launcher_.records.at(2)->end(exited(1));
    launcher_.records.at(3)->end(exited(1));
    timers_.settle();
    EXPECT_FALSE(lines_->contains("circuit_breaker_opened"));
    timers_.advance(2s);
    ASSERT_EQ(starts(), 6U);
    launcher_.records.at(4)->end(exited(1));
    timers_.settle();
    EXPECT_TRUE(lines_->contains("circuit_breaker_opened"));
    launcher_.records.at(5)->end(exited(1));
    timers_.settle();
    timers_.advance(4min);
    EXPECT_EQ(starts(), 6U);
    timers_.advance(61s);
    EXPECT_EQ(starts(), 7U) << "one of them only";
    const std::string trial = info(a).pid ? a : b;
    const std::string other = info(a).pid ? b : a;
    ready(trial);
    restarter_.served(trial);
    timers_.settle();
    EXPECT_EQ(starts(), 8U) << "the other need not wait any longer";
    EXPECT_EQ(info(other).state, WorkerState::loading);
}

TEST_F(RestarterTest, Five_minutes_in_service_and_the_count_begins_anew) {
    const std::string id = spawn();
    ready(id);
    die();
    timers_.advance(1s);
    ready(id);
    timers_.advance(5min - 1ms);
    EXPECT_EQ(info(id).restart_count, 1U);
    timers_.advance(1ms);
    EXPECT_EQ(info(id).restart_count, 0U);
    die();
    EXPECT_THAT(info(id).reason, testing::HasSubstr("restart 1 of 3"));
}

TEST_F(RestarterTest, What_was_asked_for_does_not_come_back) {
    const std::string id = spawn();
    launcher_.records.back()->obeys_term = true;
    asio::co_spawn(loop_, supervisor_.stop(id, "asked"), asio::detached);
    timers_.advance(1h);
    EXPECT_EQ(starts(), 1U);
    EXPECT_EQ(registry_.find(id), nullptr);
}

TEST_F(RestarterTest, Stopping_a_worker_that_waits_cancels_its_restart) {
    const std::string id = spawn();
    die();
    asio::co_spawn(loop_, supervisor_.stop(id, "asked"), asio::detached);
    timers_.advance(1h);
    EXPECT_EQ(starts(), 1U);
    EXPECT_EQ(registry_.find(id), nullptr);
    EXPECT_EQ(supervisor_.order_of(id), nullptr);
}

TEST_F(RestarterTest, A_stopping_hive_starts_nothing) {
    const std::string id = spawn();
    die();
    asio::co_spawn(loop_, supervisor_.stop_all("over"), asio::detached);
    timers_.advance(1h);
    EXPECT_EQ(starts(), 1U);
}

TEST_F(RestarterTest, A_configuration_error_is_final_and_the_same_is_not_started_again) {
    const std::string id = spawn();
    api::ReadyNotice notice;
    notice.worker_id = id;
    notice.state = WorkerState::failed;
    notice.reason = "not a GGUF file";
    ASSERT_TRUE(supervisor_.report(notice));
    die(exited(65));
    timers_.advance(1h);
    EXPECT_EQ(starts(), 1U);
    EXPECT_EQ(info(id).state, WorkerState::failed);
    EXPECT_THAT(info(id).reason, testing::HasSubstr("not a GGUF file"));
}

TEST_F(RestarterTest, What_failed_for_what_it_is_is_refused_until_it_changes) {
    const std::string id = spawn();
    die(exited(65));
    const auto again = gate_.admit(order());
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().wire_code, "MODEL_UNAVAILABLE");
    Supervisor::Order mended = order();
    mended.fingerprint = "mended";
    EXPECT_TRUE(gate_.admit(mended));
    timers_.advance(5min);
    EXPECT_TRUE(gate_.admit(order())) << "five minutes later it may be tried anyway";
}

TEST_F(RestarterTest, Lack_of_memory_is_tried_once_more) {
    supervisor_.set_oom_probe([](const Supervisor::ExitReport&) {
        return std::string("oom_kill 1");
    });
    const std::string id = spawn();
    ready(id);
    die(killed_by(SIGKILL));
    timers_.advance(1s);
    EXPECT_EQ(starts(), 2U);
    die(killed_by(SIGKILL));
    timers_.advance(1h);
    EXPECT_EQ(starts(), 2U);
    EXPECT_EQ(info(id).state, WorkerState::failed);
    EXPECT_THAT(info(id).reason, testing::HasSubstr("out of memory: oom_kill 1"));
}

TEST_F(RestarterTest, Switched_off_a_crash_is_the_end) {
    settings_.restart.all.restart.enabled = false;
    const std::string id = spawn();
    ready(id);
    die();
    timers_.advance(1min);
    EXPECT_EQ(starts(), 1U);
    EXPECT_EQ(info(id).state, WorkerState::crashed);
}

TEST_F(RestarterTest, A_worker_nobody_was_told_of_is_not_kept_but_its_failure_counts) {
    for (int i = 0; i < 5; ++i) {
        const auto permit = gate_.admit(order());
        ASSERT_TRUE(permit);
        const auto started = supervisor_.spawn(order());
        ASSERT_TRUE(started);
        restarter_.try_out(started->id, *permit);
        timers_.settle();
        die(exited(1));
        restarter_.keep(started->id); // too late
    }
    EXPECT_FALSE(gate_.admit(order()));
    timers_.advance(1h);
    EXPECT_EQ(starts(), 5U);
}

TEST_F(RestarterTest, Without_room_it_waits_for_its_next_turn) {
    const std::string id = spawn();
    ready(id);
    die();
    room_ = fail(Errc::resources, "needs 8 GB of 4 GB", "INSUFFICIENT_RAM");
    timers_.advance(1s);
    EXPECT_EQ(asked_for_room_, 1);
    EXPECT_EQ(starts(), 1U);
    EXPECT_EQ(info(id).state, WorkerState::backoff);
    EXPECT_THAT(info(id).reason, testing::HasSubstr("needs 8 GB of 4 GB; restart 2 of 3"));
    room_ = {};
    timers_.advance(2s);
    EXPECT_EQ(starts(), 2U);
}

TEST_F(RestarterTest, By_hand_it_starts_at_once_and_the_breaker_closes) {
    const std::string id = spawn();
    for (int i = 0; i < 4; ++i) {
        die();
        timers_.advance(4s);
    }
    ASSERT_FALSE(gate_.admit(order()));
    const auto started = restarter_.restart_now(id);
    ASSERT_TRUE(started);
    EXPECT_EQ(starts(), 5U);
    EXPECT_EQ(started->restart_count, 0U);
    EXPECT_TRUE(gate_.admit(order()));
    ready(id);
    timers_.advance(1h);
    EXPECT_EQ(starts(), 5U) << "the restart that was due is off";
    EXPECT_FALSE(restarter_.restart_now(id)) << "it has its process";
    EXPECT_FALSE(restarter_.restart_now("worker-none"));
}

TEST_F(RestarterTest, The_attempts_of_an_adopted_worker_count_on) {
    const auto started = supervisor_.spawn(order());
    ASSERT_TRUE(started);
    restarter_.follow(started->id, {.attempts = 2});
    timers_.settle();
    die();
    EXPECT_THAT(info(started->id).reason, testing::HasSubstr("restart 3 of 3"));
}

TEST_F(RestarterTest, Requests_of_a_dead_process_are_not_those_of_the_next) {
    const std::string id = spawn();
    ready(id);
    auto lease = registry_.take(id, true);
    ASSERT_TRUE(lease);
    lease->track("r-1", 30s);
    // Observers live as long as the fixture, which ends the next process too.
    const auto requests = std::make_shared<std::vector<std::string>>();
    supervisor_.on_exit([requests](const Supervisor::ExitReport& report) {
        *requests = report.requests;
    });
    die();
    EXPECT_THAT(*requests, testing::ElementsAre("r-1"));
    timers_.advance(1s);
    ready(id);
    EXPECT_EQ(info(id).slots_available, 2U);
    lease->reset();
    EXPECT_EQ(info(id).slots_available, 2U);
    EXPECT_EQ(info(id).active_requests, 0U);
}

TEST_F(RestarterTest, While_it_is_dying_nothing_goes_there_and_nothing_replaces_it) {
    const std::string id = spawn();
    ready(id);
    const auto dying = std::make_shared<std::vector<std::string>>();
    supervisor_.on_dying([dying](const std::string& which) { dying->push_back(which); });
    supervisor_.note_dying(id, 1); // of another process
    EXPECT_EQ(info(id).state, WorkerState::idle);
    supervisor_.note_dying(id, *info(id).pid);
    supervisor_.note_dying(id, *info(id).pid);
    EXPECT_EQ(info(id).state, WorkerState::dying);
    EXPECT_THAT(*dying, testing::ElementsAre(id));
    EXPECT_FALSE(registry_.take(id, true));
    timers_.advance(1min);
    EXPECT_EQ(starts(), 1U);
    die();
    timers_.advance(1s);
    EXPECT_EQ(starts(), 2U);
}

/// Whatever happens in whatever order: never two processes for one worker, never one more than one
/// trial, and who is kept comes back in the end.
TEST_F(RestarterTest, Random_walks_never_give_a_worker_two_processes) {
    settings_.restart.all.restart.jitter_percent = 20;
    settings_.restart.all.breaker.jitter_percent = 20;
    std::vector<std::string> ids = {spawn("a"), spawn("a"), spawn("b")};
    std::map<std::string, std::size_t> process_of; // the newest of each worker
    for (int i = 0; i < 5'000; ++i) {
        const std::string& id = ids.at(random_() % ids.size());
        const WorkerRegistry::Entry* entry = registry_.find(id);
        ASSERT_NE(entry, nullptr);
        switch (random_() % 8) {
        case 0:
            timers_.advance(std::chrono::milliseconds(random_() % 5000));
            break;
        case 1:
            timers_.advance(std::chrono::minutes(random_() % 20));
            break;
        case 2:
            if (entry->info.state == WorkerState::loading) {
                ready(id);
            }
            break;
        case 3:
            restarter_.served(id);
            break;
        case 4:
            if (entry->info.pid) {
                supervisor_.note_dying(id, *entry->info.pid);
            }
            break;
        case 5:
            (void)restarter_.restart_now(id);
            break;
        default:
            end_one();
            break;
        }
        timers_.settle();
        ASSERT_EQ(launcher_.alive(), supervisor_.running());
        std::size_t with_process = 0;
        for (const std::string& one : ids) {
            with_process += registry_.find(one)->info.pid ? 1U : 0U;
        }
        ASSERT_EQ(launcher_.alive(), with_process) << "step " << i;
        ASSERT_LE(launcher_.alive(), ids.size());
    }
    EXPECT_GT(starts(), 300U);
    timers_.advance(2h);
    for (const std::string& id : ids) {
        const WorkerState state = info(id).state;
        EXPECT_TRUE(state != WorkerState::crashed && state != WorkerState::stopped);
    }
}

} // namespace
} // namespace rbee::hive
