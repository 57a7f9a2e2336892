#include "rbee/queen/gateway.hpp"
#include "rbee/queen/gateway_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>

namespace rbee::queen::test {
namespace {

using domain::WorkerState;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

constexpr const char* chat = "/v1/chat/completions";
const std::string tiny = R"({"model":"tiny","messages":[]})";

TEST_F(GatewayTest, SendsTheRequestToTheChosenWorkerAndSaysWho) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, tiny);
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(answer.body, R"({"ok":true})");
        EXPECT_EQ(answer.headers.find("X-Rbee-Worker"), "w1");
        EXPECT_EQ(answer.headers.find("X-Rbee-Hive"), "h1");
        EXPECT_EQ(hive.seen.size(), 1U);
        const auto& head = hive.seen.at(0);
        EXPECT_EQ(head.path, chat);
        EXPECT_EQ(head.headers.find("X-Rbee-Worker"), "w1");
        EXPECT_EQ(head.headers.find("Authorization"), "Bearer hive-token");
        EXPECT_EQ(head.headers.find("X-Correlation-Id"), answer.headers.find("X-Correlation-Id"));
        EXPECT_EQ(hive.bodies.at(0), tiny);
    });
}

TEST_F(GatewayTest, UnknownModelIs404AndListsTheKnownOnes) {
    start({});
    add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, R"({"model":"gpt-9"})");
        EXPECT_EQ(answer.status, 404);
        EXPECT_THAT(answer.body, HasSubstr("MODEL_NOT_FOUND"));
        EXPECT_THAT(answer.body, HasSubstr("tiny"));
        EXPECT_THAT(answer.body, Not(HasSubstr("gpt-9")));
        const auto only = co_await post(chat, R"({"messages":[]})");
        EXPECT_EQ(only.status, 200);
        const auto broken = co_await post(chat, "{");
        EXPECT_EQ(broken.status, 400);
    });
}

TEST_F(GatewayTest, BusyWorkerIsTriedAgainLater) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hive.handler = [](FakeHive& self, http::Exchange& exchange) -> asio::awaitable<void> {
        return self.seen.size() < 5 ? refuse(exchange, {Errc::busy, "full", "ALL_SLOTS_BUSY"})
                                    : answer(exchange, 200, "{}");
    };
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, tiny);
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(hive.seen.size(), 5U);
    });
}

TEST_F(GatewayTest, AHiveThatRefusesTheTokenIsNotAskedAgain) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hive.handler = [](FakeHive&, http::Exchange& exchange) -> asio::awaitable<void> {
        return refuse(exchange, {Errc::unauthenticated, "no", "INVALID_API_KEY"});
    };
    std::string refused;
    hives_.on_refusal([&](const http::Endpoint& who) { refused = who.authority(); });
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, tiny);
        EXPECT_EQ(answer.status, 502);
        EXPECT_THAT(answer.body, HasSubstr("HIVE_MISCONFIGURED"));
        EXPECT_EQ(hive.seen.size(), 1U);
        EXPECT_EQ(refused, hive.endpoint.authority());
    });
}

TEST_F(GatewayTest, NotReadyIsRepeatedTwiceOnly) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hive.handler = [](FakeHive&, http::Exchange& exchange) -> asio::awaitable<void> {
        return refuse(exchange, {Errc::unavailable, "no", "WORKER_NOT_READY"});
    };
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, tiny);
        EXPECT_EQ(answer.status, 503);
        EXPECT_THAT(answer.body, HasSubstr("WORKER_NOT_READY"));
        EXPECT_EQ(hive.seen.size(), 3U);
    });
}

TEST_F(GatewayTest, OtherErrorsAreTheAnswer) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hive.handler = [](FakeHive&, http::Exchange& exchange) -> asio::awaitable<void> {
        return refuse(exchange, {Errc::invalid_argument, "max_tokens is too large", {}});
    };
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, tiny);
        EXPECT_EQ(answer.status, 400);
        EXPECT_THAT(answer.body, HasSubstr("max_tokens"));
        EXPECT_EQ(hive.seen.size(), 1U);
    });
}

TEST_F(GatewayTest, DeadHiveIsLeftForAnother) {
    start({});
    FakeHive& alive = add_hive("h2");
    fleet_.add_hive("h1", {"127.0.0.1", 1, {}}); // nobody listens there
    report("h1", {{"w1", WorkerState::idle}});
    report("h2", {{"w2", WorkerState::idle}});
    run([&]() -> asio::awaitable<void> {
        const auto first = co_await post(chat, tiny);
        const auto second = co_await post(chat, tiny);
        EXPECT_EQ(first.status, 200);
        EXPECT_EQ(second.status, 200);
        EXPECT_EQ(alive.seen.size(), 2U);
        EXPECT_FALSE(fleet_.find_hive("h1")->available);
    });
}

TEST_F(GatewayTest, BrokenStreamEndsWithAnErrorFrameAndIsNotRepeated) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}, {"w2", WorkerState::idle}});
    hive.handler = [](FakeHive&, http::Exchange& exchange) -> asio::awaitable<void> {
        http::Headers headers;
        headers.set("Content-Type", "text/event-stream");
        const auto begun = co_await exchange.begin_stream(200, std::move(headers));
        const auto sent = co_await exchange.write("data: {\"token\":1}\n\n");
        EXPECT_TRUE(begun && sent);
        exchange.abort();
    };
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, tiny);
        EXPECT_EQ(answer.status, 200);
        EXPECT_THAT(answer.body, HasSubstr("token"));
        EXPECT_THAT(answer.body, HasSubstr("\"error\""));
        EXPECT_THAT(answer.body, Not(HasSubstr("[DONE]")));
        EXPECT_EQ(hive.seen.size(), 1U);
    });
}

asio::awaitable<void> endless(FakeHive&, http::Exchange& exchange) {
    http::Headers headers;
    headers.set("Content-Type", "text/event-stream");
    auto sent = co_await exchange.begin_stream(200, std::move(headers));
    asio::steady_timer moment(exchange.executor());
    while (sent && !exchange.cancel().cancelled()) {
        sent = co_await exchange.write("data: x\n\n");
        moment.expires_after(milliseconds(5));
        co_await moment.async_wait(asio::use_awaitable);
    }
}

TEST_F(GatewayTest, DeleteCancelsARunningRequest) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hive.handler = endless;
    http::Response answer;
    run([&]() -> asio::awaitable<void> {
        spawn_post(R"({"model":"tiny","job_id":"job-7"})", answer);
        co_await until([&] { return hive.running == 1; });
        http::ClientRequest request;
        request.method = "DELETE";
        request.target = "/v1/inference/job-7";
        const auto first = co_await client_.fetch(queen_, request, {});
        const auto again = co_await client_.fetch(queen_, request, {});
        EXPECT_EQ(first.value().status, 204);
        EXPECT_EQ(again.value().status, 204);
        co_await until([&] { return hive.running == 0 && running_.count() == 0; });
        co_await until([&] { return !answer.body.empty(); });
        EXPECT_THAT(answer.body, HasSubstr("REQUEST_CANCELED"));
    });
}

TEST_F(GatewayTest, ClientThatLeavesFreesTheSlot) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hive.handler = endless;
    http::Response answer;
    CancelSource cancel;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, answer, &cancel);
        co_await until([&] { return hive.running == 1; });
        cancel.cancel(CancelReason::requested);
        co_await until([&] { return hive.running == 0 && running_.count() == 0; });
        EXPECT_EQ(fleet_.find_worker("w1")->in_flight, 0U);
    });
}

TEST_F(GatewayTest, TaskGoesToTheNodeInOurDialect) {
    start({});
    add_hive("h1");
    FakeHive& hive = add_hive("h2");
    report("h1", {{"w1", WorkerState::idle}});
    report("h2", {{"w2", WorkerState::idle}});
    run([&]() -> asio::awaitable<void> {
        const std::string body = R"({"node":"h2","model":"tiny","prompt":"hi","max_tokens":5})";
        const auto answer = co_await post("/v2/tasks", body);
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(hive.seen.at(0).path, "/v1/inference");
        EXPECT_THAT(hive.bodies.at(0), HasSubstr("\"job_id\":\"job-"));
        EXPECT_THAT(hive.bodies.at(0), HasSubstr("\"stream\":true"));
        EXPECT_THAT(hive.bodies.at(0), Not(HasSubstr("\"node\"")));
        const auto lost =
            co_await post("/v2/tasks", R"({"node":"h9","model":"tiny","prompt":"hi"})");
        EXPECT_EQ(lost.status, 404);
        EXPECT_THAT(lost.body, HasSubstr("NODE_NOT_FOUND"));
        EXPECT_THAT(lost.body, HasSubstr("rbee hives add"));
    });
}

} // namespace
} // namespace rbee::queen::test
