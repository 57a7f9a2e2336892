#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/gateway_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>

namespace rbee::queen::test {
namespace {

using domain::WorkerState;
using std::chrono::milliseconds;
using testing::HasSubstr;

const std::string tiny = R"({"model":"tiny","messages":[]})";

class DispatcherTest : public GatewayTest {
protected:
    /// Inference answers wait until the test opens the gate.
    void hold_answers(FakeHive& hive) {
        hive.handler = [this](FakeHive&, http::Exchange& exchange) { return held(exchange); };
    }
    bool open_ = false;

private:
    asio::awaitable<void> held(http::Exchange& exchange) {
        while (!open_ && !exchange.cancel().cancelled()) {
            co_await timers_.sleep_for(milliseconds(1));
        }
        if (open_) {
            co_await answer(exchange, 200, "{}");
        }
    }
};

http::Response spawned() {
    http::Response answer;
    answer.body = R"({"worker_id":"w1","url":"http://127.0.0.1:8081","state":"loading"})";
    return answer;
}

TEST_F(DispatcherTest, RequestsWaitForASlotAndNoneIsOverbooked) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}}, 2);
    hold_answers(hive);
    std::array<http::Response, 7> answers;
    run([&]() -> asio::awaitable<void> {
        for (auto& one : answers) {
            one.status = -1;
            spawn_post(tiny, one);
        }
        co_await until([&] { return hive.running == 2 && dispatcher_->waiting() == 5; });
        open_ = true;
        for (auto& one : answers) {
            co_await until([&] { return one.status == 200; });
        }
        EXPECT_EQ(hive.running_most, 2U);
        EXPECT_EQ(dispatcher_->waiting(), 0U);
    });
}

TEST_F(DispatcherTest, FullQueueRefusesWithItsCapacity) {
    start({.capacity = 1});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hold_answers(hive);
    http::Response first;
    http::Response second;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, first);
        co_await until([&] { return hive.running == 1; });
        spawn_post(tiny, second);
        co_await until([&] { return dispatcher_->waiting() == 1; });
        const auto refused = co_await post("/v1/chat/completions", tiny);
        EXPECT_EQ(refused.status, 503);
        EXPECT_THAT(refused.body, HasSubstr("QUEUE_FULL"));
        EXPECT_THAT(refused.body, HasSubstr("\"queue_capacity\":1"));
        EXPECT_TRUE(refused.headers.find("Retry-After").has_value());
        open_ = true;
        co_await until([&] { return running_.count() == 0; });
    });
}

TEST_F(DispatcherTest, WaitingHasALimit) {
    start({.wait = milliseconds(30)});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hold_answers(hive);
    http::Response first;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, first);
        co_await until([&] { return hive.running == 1; });
        const auto refused = co_await post("/v1/chat/completions", tiny);
        EXPECT_EQ(refused.status, 503);
        EXPECT_THAT(refused.body, HasSubstr("NO_IDLE_WORKERS"));
        EXPECT_EQ(dispatcher_->waiting(), 0U);
        open_ = true;
        co_await until([&] { return running_.count() == 0; });
    });
}

TEST_F(DispatcherTest, ClientThatLeavesTheQueueIsRemovedAtOnce) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hold_answers(hive);
    http::Response first;
    http::Response second;
    CancelSource leave;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, first);
        co_await until([&] { return hive.running == 1; });
        spawn_post(tiny, second, &leave);
        co_await until([&] { return dispatcher_->waiting() == 1; });
        leave.cancel(CancelReason::requested);
        co_await until([&] { return dispatcher_->waiting() == 0; });
        open_ = true;
        co_await until([&] { return running_.count() == 0; });
        EXPECT_EQ(hive.seen.size(), 1U);
    });
}

TEST_F(DispatcherTest, OneWorkerIsStartedForAllWhoNeedIt) {
    start({});
    FakeHive& hive = add_hive("h1");
    hive.spawn_answer = spawned();
    report("h1", {});
    std::array<http::Response, 3> answers;
    run([&]() -> asio::awaitable<void> {
        for (auto& one : answers) {
            spawn_post(tiny, one);
        }
        co_await until([&] { return hive.spawns == 1 && dispatcher_->waiting() == 3; });
        report("h1", {{"w1", WorkerState::loading}});
        report("h1", {{"w1", WorkerState::idle}}, 3);
        co_await until([&] { return running_.count() == 0; });
        for (const auto& one : answers) {
            EXPECT_EQ(one.status, 200);
        }
        EXPECT_EQ(hive.spawns, 1);
    });
}

TEST_F(DispatcherTest, SpawnRefusalGoesToAllWithItsCause) {
    start({});
    FakeHive& hive = add_hive("h1");
    hive.spawn_answer =
        api::error_response({Errc::resources, "needs 12 GB of memory", "INSUFFICIENT_RAM"}, "id");
    report("h1", {});
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post("/v1/chat/completions", tiny);
        EXPECT_EQ(answer.status, 503);
        EXPECT_THAT(answer.body, HasSubstr("INSUFFICIENT_RAM"));
        EXPECT_THAT(answer.body, HasSubstr("12 GB"));
    });
}

TEST_F(DispatcherTest, WorkerThatFailsToLoadFailsItsWaiters) {
    start({});
    FakeHive& hive = add_hive("h1");
    hive.spawn_answer = spawned();
    report("h1", {});
    http::Response answer;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, answer);
        co_await until([&] { return hive.spawns == 1; });
        report("h1", {{"w1", WorkerState::loading}});
        co_await until([&] { return dispatcher_->waiting() == 1; });
        report("h1", {{"w1", WorkerState::failed}});
        co_await until([&] { return running_.count() == 0; });
        EXPECT_EQ(answer.status, 503);
        EXPECT_THAT(answer.body, HasSubstr("no reason"));
        EXPECT_EQ(hive.spawns, 1);
    });
}

TEST_F(DispatcherTest, NoHiveMeansRefusalAtOnce) {
    start({});
    add_hive("h1");
    report("h1", {});
    fleet_.unreachable("h1", "refused");
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post("/v1/chat/completions", tiny);
        EXPECT_EQ(answer.status, 503);
        EXPECT_THAT(answer.body, HasSubstr("HIVE_UNAVAILABLE"));
    });
}

} // namespace
} // namespace rbee::queen::test
