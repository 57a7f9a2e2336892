#include "rbee/api/json.hpp"
#include "rbee/http/server.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/worker/hive_link.hpp"
#include "rbee/worker/listener.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/fake_clock.hpp"
#include "support/fake_timers.hpp"

namespace rbee::worker {
namespace {

namespace asio = boost::asio;

/// A hive that writes down what it is told and can be made to refuse.
class HiveLinkTest : public testing::Test {
protected:
    HiveLinkTest() {
        server_.set_handler(
            [this](http::Exchange& exchange) { return serve(exchange); },
            [](const Error&, const std::string&) { return http::Response{.status = 500}; },
            [](const std::string&, const std::string&) {}
        );
        EXPECT_TRUE(server_.serve(std::move(listener_.socket)).has_value());
    }

    ~HiveLinkTest() override {
        tasks_.cancel();
        run_until([this] { return tasks_.count() == 0; });
        client_.close_idle();
        bool stopped = false;
        asio::co_spawn(loop_, server_.stop(), [&](const std::exception_ptr&) { stopped = true; });
        run_until([&] { return stopped; });
        reaper_.stop();
    }

    asio::awaitable<void> serve(http::Exchange& exchange) {
        const auto body = co_await exchange.read_body(10000);
        EXPECT_EQ(exchange.head().headers.find("Authorization"), "Bearer hive-token");
        told_.push_back(exchange.head().path + " " + body.value_or(""));
        const auto sent = co_await exchange.respond(
            {.status = refuse_ ? 500 : 200, .body = refuse_ ? "{}" : R"({"message":"ok"})"}
        );
        EXPECT_TRUE(sent.has_value());
    }

    static Listener listen() {
        auto listener = open_listener({.host = "127.0.0.1", .port = 0, .unix_path = {}});
        EXPECT_TRUE(listener.has_value());
        return std::move(*listener);
    }

    void run_until(const std::function<bool()>& done) {
        const auto due = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < due) {
            loop_.restart();
            loop_.run_one_for(std::chrono::milliseconds(10));
        }
        EXPECT_TRUE(done()) << "did not happen in time";
    }

    asio::awaitable<void> notify(HiveLink::Change change) {
        co_await link_.notify(std::move(change));
        notified_ = true;
    }

    asio::io_context loop_{1};
    test::FakeClock clock_;
    test::FakeTimers timers_{clock_, loop_};
    http::Reaper reaper_{loop_.get_executor()};
    std::shared_ptr<telemetry::LogCapture> capture_ = std::make_shared<telemetry::LogCapture>();
    telemetry::Logger log_{*telemetry::Logger::open({.component = "w", .capture = capture_})};
    http::Server server_{loop_.get_executor(), reaper_, http::ServerOptions{}};
    http::Client client_{loop_.get_executor(), reaper_};
    Listener listener_ = listen();
    std::vector<std::string> told_;
    bool refuse_ = false;
    bool notified_ = false;
    api::ReadyNotice who_{
        .worker_id = "worker-1",
        .url = "http://127.0.0.1:8081",
        .model_ref = "file:/m.gguf",
        .backend = "cpu",
        .device = 0,
        .state = {},
        .slots_total = 0,
        .reason = {},
    };
    HiveLink link_{
        timers_, log_, api::ApiClient(client_, listener_.endpoint, Secret("hive-token")), who_
    };
    runtime::TaskGroup tasks_{loop_.get_executor(), {}};
};

TEST_F(HiveLinkTest, TellsStateSlotsAndReason) {
    tasks_.start(notify({.state = domain::WorkerState::idle, .slots_total = 4}), "notify");
    run_until([this] { return notified_; });
    ASSERT_EQ(told_.size(), 1U);
    EXPECT_THAT(told_[0], testing::StartsWith("/v1/workers/ready {"));
    const std::string_view text = told_[0];
    const auto notice = api::ready_from_json(*api::parse_object(text.substr(text.find('{'))));
    ASSERT_TRUE(notice.has_value());
    EXPECT_EQ(notice->worker_id, "worker-1");
    EXPECT_EQ(notice->url, "http://127.0.0.1:8081");
    EXPECT_EQ(notice->state, domain::WorkerState::idle);
    EXPECT_EQ(notice->slots_total, 4U);
}

TEST_F(HiveLinkTest, TriesThreeTimesWithGrowingWaits) {
    refuse_ = true;
    tasks_.start(notify({.state = domain::WorkerState::failed, .reason = "broken"}), "notify");
    for (const int wait_ms : {200, 400}) {
        run_until([this] { return timers_.sleeping() == 1; });
        const std::size_t before = told_.size();
        timers_.advance(std::chrono::milliseconds(wait_ms - 1));
        EXPECT_EQ(told_.size(), before);
        timers_.advance(std::chrono::milliseconds(1));
        run_until([&] { return told_.size() == before + 1; });
    }
    run_until([this] { return notified_; });
    EXPECT_EQ(told_.size(), 3U);
    EXPECT_TRUE(capture_->contains("callback_failed"));
}

TEST_F(HiveLinkTest, SendsHeartbeatsWhateverTheAnswer) {
    bool healthy = true;
    tasks_.start(link_.heartbeats([&] { return healthy; }), "heartbeats");
    run_until([this] { return timers_.sleeping() == 1; });
    ASSERT_EQ(told_.size(), 1U);
    EXPECT_EQ(
        told_[0],
        R"(/v1/heartbeat {"worker_id":"worker-1","timestamp":"2026-01-01T00:00:00.000Z",)"
        R"("health_status":"healthy"})"
    );
    healthy = false;
    refuse_ = true;
    timers_.advance(std::chrono::seconds(30));
    run_until([this] { return told_.size() == 2; });
    EXPECT_THAT(told_[1], testing::HasSubstr(R"("health_status":"degraded")"));
    run_until([this] { return timers_.sleeping() == 1; });
    EXPECT_TRUE(capture_->contains("heartbeat_failed"));
    timers_.advance(std::chrono::seconds(30));
    run_until([this] { return told_.size() == 3; });
}

} // namespace
} // namespace rbee::worker
