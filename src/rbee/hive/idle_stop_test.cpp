#include "rbee/domain/keep_alive.hpp"
#include "rbee/hive/idle_stop.hpp"
#include "rbee/http/reaper.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "support/fake_timers.hpp"
#include "support/fake_workers.hpp"
#include "support/temp_dir.hpp"

namespace rbee::hive {
namespace {

namespace asio = boost::asio;
using domain::WorkerState;
using namespace std::chrono_literals;

/// With processes and time that are not real.
class IdleStopTest : public testing::Test {
protected:
    IdleStopTest() {
        settings_.worker.log_dir = root_ / "logs";
        settings_.worker.ports = {0, 0};
        registry_.on_change([this] { idle_.changed(); });
        registry_.on_rest([this](const WorkerRegistry::Entry&) { idle_.changed(); });
    }
    ~IdleStopTest() override {
        supervisor_.hurry();
        asio::co_spawn(loop_, idle_.stop(), asio::detached);
        asio::co_spawn(loop_, supervisor_.join(), asio::detached);
        reaper_.stop();
        timers_.settle();
    }

    /// Starts a worker that is ready at once; its id.
    std::string ready(const std::string& model) {
        Supervisor::Order order;
        order.model = {{domain::ModelRef::Provider::name, model}, model, "/models/x.gguf", 1000};
        order.backend = "cpu";
        const auto started = supervisor_.spawn(order);
        EXPECT_TRUE(started);
        launcher_.records.back()->obeys_term = true;
        EXPECT_TRUE(registry_.became_ready(started->id, 2));
        return started->id;
    }
    [[nodiscard]] bool there(const std::string& id) const {
        const WorkerRegistry::Entry* entry = registry_.find(id);
        return entry != nullptr && entry->info.state == WorkerState::idle;
    }
    /// A request that is over at once.
    void use(const std::string& id) {
        const auto lease = registry_.take(id, true);
        EXPECT_TRUE(lease);
    }
    void start() {
        idle_.start();
        timers_.settle();
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
    test::FakeClock clock_;
    test::FakeTimers timers_{clock_, loop_};
    WorkerRegistry registry_{clock_};
    test::FakeLauncher launcher_{timers_};
    Supervisor supervisor_{
        {timers_, log_, hive_metrics_, registry_, launcher_, client_, settings_, tokens_}
    };
    IdleStop idle_{{timers_, log_, registry_, supervisor_, settings_.idle}};
};

TEST_F(IdleStopTest, A_worker_without_requests_goes_after_5_minutes) {
    start();
    const std::string id = ready("tiny");
    timers_.advance(5min - 1s);
    EXPECT_TRUE(there(id));
    timers_.advance(1s);
    ASSERT_NE(registry_.find(id), nullptr);
    EXPECT_EQ(registry_.find(id)->info.state, WorkerState::draining); // it gets no more requests
    EXPECT_EQ(registry_.find(id)->info.reason, "idle for 300 s");
    timers_.advance(10s);
    EXPECT_EQ(registry_.find(id), nullptr);
    EXPECT_TRUE(lines_->contains("worker_idle_stop"));
}

TEST_F(IdleStopTest, EC10_with_30_minutes_it_goes_after_30_minutes) {
    settings_.idle.keep_alive = 30min;
    start();
    const std::string id = ready("tiny");
    timers_.advance(30min - 1s);
    EXPECT_TRUE(there(id));
    timers_.advance(15s);
    EXPECT_EQ(registry_.find(id), nullptr);
}

TEST_F(IdleStopTest, Each_request_begins_the_time_anew) {
    start();
    const std::string id = ready("tiny");
    for (int i = 0; i < 4; ++i) {
        timers_.advance(4min);
        use(id);
    }
    timers_.advance(5min - 1s);
    EXPECT_TRUE(there(id));
    timers_.advance(2s);
    EXPECT_FALSE(there(id));
}

TEST_F(IdleStopTest, A_worker_at_work_stays_however_long_that_takes) {
    start();
    const std::string id = ready("tiny");
    auto lease = registry_.take(id, true);
    ASSERT_TRUE(lease);
    timers_.advance(2h);
    EXPECT_TRUE(there(id));
    lease->reset();
    timers_.advance(5min - 1s);
    EXPECT_TRUE(there(id));
    timers_.advance(1s);
    EXPECT_FALSE(there(id));
}

TEST_F(IdleStopTest, A_request_without_a_slot_keeps_it_too) {
    start();
    const std::string id = ready("tiny");
    auto lease = registry_.take(id, false);
    ASSERT_TRUE(lease);
    lease->track("tokenize", 1h);
    timers_.advance(20min);
    EXPECT_TRUE(there(id));
    lease->reset();
    timers_.advance(5min);
    EXPECT_FALSE(there(id));
}

TEST_F(IdleStopTest, A_request_says_how_long_it_is_kept) {
    start();
    const std::string id = ready("tiny");
    registry_.keep(id, 30s);
    use(id);
    timers_.advance(29s);
    EXPECT_TRUE(there(id));
    timers_.advance(1s);
    EXPECT_FALSE(there(id));
}

TEST_F(IdleStopTest, Zero_stops_it_right_after_the_request) {
    start();
    const std::string id = ready("tiny");
    auto lease = registry_.take(id, true);
    ASSERT_TRUE(lease);
    registry_.keep(id, 0s);
    timers_.settle();
    EXPECT_TRUE(there(id));
    lease->reset();
    timers_.settle();
    EXPECT_FALSE(there(id));
}

TEST_F(IdleStopTest, For_ever_is_for_ever) {
    start();
    const std::string id = ready("tiny");
    registry_.keep(id, domain::keep_for_ever);
    use(id);
    timers_.advance(1000h);
    EXPECT_TRUE(there(id));
}

TEST_F(IdleStopTest, Pinned_models_stay_whatever_requests_say) {
    settings_.idle.pinned = {"tiny"};
    start();
    const std::string pinned = ready("tiny");
    const std::string other = ready("other");
    registry_.keep(pinned, 0s);
    use(pinned);
    timers_.advance(1000h);
    EXPECT_TRUE(there(pinned));
    EXPECT_FALSE(there(other));
}

TEST_F(IdleStopTest, A_model_has_its_own_time) {
    settings_.idle.models = {{"quick", 10s}, {"slow", domain::keep_for_ever}};
    start();
    const std::string slow = ready("slow");
    const std::string plain = ready("tiny");
    const std::string quick = ready("quick"); // sooner than what was being waited for
    timers_.advance(9s);
    EXPECT_TRUE(there(quick));
    timers_.advance(1s);
    EXPECT_FALSE(there(quick));
    EXPECT_TRUE(there(plain));
    timers_.advance(10min);
    EXPECT_FALSE(there(plain));
    EXPECT_TRUE(there(slow));
}

TEST_F(IdleStopTest, A_worker_that_loads_is_not_idle) {
    start();
    Supervisor::Order order;
    order.model = {{domain::ModelRef::Provider::name, "tiny"}, "tiny", "/models/x.gguf", 1000};
    order.backend = "cpu";
    const auto started = supervisor_.spawn(order);
    ASSERT_TRUE(started);
    const WorkerRegistry::Entry* entry = registry_.find(started->id);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(idle_.due(*entry), std::nullopt);
}

} // namespace
} // namespace rbee::hive
