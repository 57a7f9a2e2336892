#include "rbee/auth/secret_file.hpp"
#include "rbee/hive/adoption.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/process/adopted.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/fake_workers.hpp"
#include "support/temp_dir.hpp"

namespace rbee::hive {
namespace {

namespace asio = boost::asio;
using domain::WorkerState;
using namespace std::chrono_literals;

/// The workers of the former hive are processes that only wait, and answer no request.
class AdoptionTest : public testing::Test {
protected:
    AdoptionTest() {
        settings_.worker.log_dir = root_ / "logs";
        settings_.worker.ports = {0, 0};
        settings_.adoption.state_dir = root_ / "state";
        settings_.life.stop_term = 10ms;
        registry_.on_change([this] { adoption_.changed(); });
        supervisor_.on_exit([this](const Supervisor::ExitReport& report) {
            reports_.push_back(report);
        });
    }
    ~AdoptionTest() override {
        supervisor_.hurry();
        bool over = false;
        asio::co_spawn(loop_, finish(), [&](const std::exception_ptr&) { over = true; });
        run_until([&] { return over; });
        for (const pid_t pid : left_) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
    }
    asio::awaitable<void> finish() {
        co_await supervisor_.stop_all("the test is over");
        co_await supervisor_.join();
        co_await adoption_.stop();
        reaper_.stop();
    }
    void run_until(const std::function<bool()>& done) {
        const auto give_up = std::chrono::steady_clock::now() + 20s;
        while (!done() && std::chrono::steady_clock::now() < give_up) {
            loop_.restart();
            loop_.run_one_for(10ms);
        }
        EXPECT_TRUE(done()) << "did not happen in time";
    }
    /// A process of a former hive.
    SlotRecord leave(WorkerState state) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::setpgid(0, 0);
            ::sleep(100);
            ::_exit(0);
        }
        left_.push_back(pid);
        SlotRecord slot;
        slot.info.id = "worker-" + std::to_string(left_.size());
        slot.info.url = "http://127.0.0.1:1";
        slot.info.backend = "cpu";
        slot.info.slots_total = 3;
        slot.info.state = state;
        slot.info.pid = pid;
        slot.info.restart_count = 2;
        slot.model = {{domain::ModelRef::Provider::name, "tiny"}, "tiny", "/models/t.gguf", 1000};
        slot.start_ticks = process::start_ticks_of(pid).value_or(0);
        slot.token = Secret(std::string("token-of-the-worker"));
        return slot;
    }
    /// What a former hive wrote last.
    void write(std::vector<SlotRecord> slots) {
        const auto file = WorkerStateFile::open(settings_.adoption.state_dir);
        ASSERT_TRUE(file);
        ASSERT_TRUE(file->write(encode_slots(slots, process::boot_id())));
    }
    void write(SlotRecord slot) {
        std::vector<SlotRecord> slots;
        slots.push_back(std::move(slot));
        write(std::move(slots));
    }
    [[nodiscard]] const api::WorkerInfo* info(const std::string& id) const {
        const WorkerRegistry::Entry* entry = registry_.find(id);
        return entry == nullptr ? nullptr : &entry->info;
    }

    test::TempDir root_;
    Settings settings_;
    asio::io_context loop_{1};
    std::shared_ptr<telemetry::LogCapture> lines_ = std::make_shared<telemetry::LogCapture>();
    telemetry::Logger log_ = *telemetry::Logger::open({.component = "test", .capture = lines_});
    telemetry::Metrics metrics_;
    HiveMetrics hive_metrics_{metrics_};
    http::Reaper reaper_{loop_.get_executor()};
    http::Client client_{loop_.get_executor(), reaper_};
    auth::Authenticator tokens_;
    runtime::SystemTimers timers_{loop_.get_executor()};
    runtime::BlockingPool pool_{1, "test"};
    WorkerRegistry registry_{timers_.clock()};
    test::FakeLauncher launcher_{timers_};
    Supervisor supervisor_{
        {timers_, log_, hive_metrics_, registry_, launcher_, client_, settings_, tokens_}
    };
    Adoption adoption_{{timers_, log_, supervisor_, registry_, pool_, settings_}};
    std::vector<Supervisor::ExitReport> reports_;
    std::vector<pid_t> left_;
};

TEST_F(AdoptionTest, AWorkerThatRunsIsTakenOverAsItWas) {
    write(leave(WorkerState::idle));
    adoption_.take_over();
    ASSERT_NE(info("worker-1"), nullptr);
    EXPECT_EQ(info("worker-1")->state, WorkerState::idle);
    EXPECT_EQ(info("worker-1")->pid, left_.front());
    EXPECT_EQ(info("worker-1")->slots_available, 3U);
    EXPECT_EQ(info("worker-1")->restart_count, 2U) << "its history goes on";
    EXPECT_EQ(tokens_.size(), 1U) << "its reports are accepted";
    EXPECT_EQ(launcher_.records.size(), 0U) << "nothing was started";
}

TEST_F(AdoptionTest, TheEndOfATakenOverWorkerIsSeenAndTold) {
    write(leave(WorkerState::idle));
    adoption_.take_over();
    ::kill(left_.front(), SIGQUIT); // no sanitizer's runtime takes this one
    run_until([this] { return !reports_.empty(); });
    EXPECT_EQ(reports_.front().worker.id, "worker-1");
    EXPECT_EQ(reports_.front().kind, domain::ExitKind::crash);
    EXPECT_EQ(reports_.front().status.signal, SIGQUIT);
    EXPECT_FALSE(reports_.front().requested);
}

TEST_F(AdoptionTest, OneThatDiedWhileThereWasNoHiveHasCrashed) {
    SlotRecord slot = leave(WorkerState::idle);
    ::kill(left_.front(), SIGKILL);
    ::waitpid(left_.front(), nullptr, 0);
    left_.clear();
    write(std::move(slot));
    adoption_.take_over();
    run_until([this] { return !reports_.empty(); });
    EXPECT_EQ(reports_.front().worker.id, "worker-1");
    EXPECT_EQ(reports_.front().kind, domain::ExitKind::crash);
    EXPECT_NE(supervisor_.order_of("worker-1"), nullptr) << "it can be started again";
}

TEST_F(AdoptionTest, AnotherProcessOfTheSameNumberIsLeftAlone) {
    SlotRecord slot = leave(WorkerState::idle);
    slot.start_ticks += 1;
    write(std::move(slot));
    adoption_.take_over();
    run_until([this] { return !reports_.empty(); });
    EXPECT_EQ(::waitpid(left_.front(), nullptr, WNOHANG), 0) << "it runs still";
}

TEST_F(AdoptionTest, OneThatWasStoppingIsStopped) {
    write(leave(WorkerState::draining));
    adoption_.take_over();
    adoption_.start();
    run_until([this] { return info("worker-1") == nullptr || !reports_.empty(); });
    ASSERT_FALSE(reports_.empty());
    EXPECT_TRUE(reports_.front().requested);
}

TEST_F(AdoptionTest, WithKillNothingIsTakenOver) {
    settings_.adoption.adopt = false;
    write(leave(WorkerState::idle));
    adoption_.take_over();
    EXPECT_TRUE(registry_.list().empty());
    int status = 0;
    EXPECT_EQ(::waitpid(left_.front(), &status, 0), left_.front());
    EXPECT_TRUE(WIFSIGNALED(status));
    left_.clear();
    EXPECT_TRUE(lines_->contains("a former hive left it"));
}

TEST_F(AdoptionTest, TheListFollowsTheWorkers) {
    adoption_.take_over();
    adoption_.start();
    Supervisor::Order order;
    order.model = {{domain::ModelRef::Provider::name, "tiny"}, "tiny", "/models/t.gguf", 1000};
    order.backend = "cpu";
    order.engine_args = {"-t", "1"};
    const auto started = supervisor_.spawn(order);
    ASSERT_TRUE(started);
    const auto listed = [&] {
        const auto text = auth::read_secret_file(
            settings_.adoption.state_dir + "/workers.json", {.what = "list"}
        );
        return text ? std::string(text->expose()) : std::string();
    };
    run_until([&] { return listed().find(started->id) != std::string::npos; });
    const auto slots = decode_slots(listed(), process::boot_id());
    ASSERT_TRUE(slots) << slots.error().what;
    EXPECT_EQ(slots->front().engine_args, order.engine_args);
    EXPECT_EQ(slots->front().info.state, WorkerState::loading);
    launcher_.records.front()->obeys_term = true;
    supervisor_.hurry();
    run_until([&] { return listed().find(R"("workers":[])") != std::string::npos; });
}

TEST_F(AdoptionTest, ADamagedListIsToldAndTheHiveWorks) {
    {
        const auto file = WorkerStateFile::open(settings_.adoption.state_dir);
        ASSERT_TRUE(file->write(Secret(std::string("{\"version\":1,"))));
    }
    adoption_.take_over();
    EXPECT_TRUE(lines_->contains("worker_list_lost"));
    EXPECT_TRUE(registry_.list().empty());
}

TEST_F(AdoptionTest, ASecondHiveOfTheSameDirectoryTakesNothing) {
    write(leave(WorkerState::idle));
    const auto other = WorkerStateFile::open(settings_.adoption.state_dir);
    ASSERT_TRUE(other);
    adoption_.take_over();
    EXPECT_TRUE(registry_.list().empty());
    EXPECT_TRUE(lines_->contains("adoption_off"));
}

} // namespace
} // namespace rbee::hive
