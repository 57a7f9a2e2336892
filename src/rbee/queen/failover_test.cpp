#include "rbee/queen/gateway_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <utility>

namespace rbee::queen::test {
namespace {

using domain::WorkerState;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr const char* chat = "/v1/chat/completions";
const std::string tiny = R"({"model":"tiny","messages":[]})";

/// What a hive says of a worker that dies under a request.
asio::awaitable<void> worker_died(FakeHive&, http::Exchange& exchange) {
    Error error{Errc::io, "worker w1 died: killed by signal 9 (SIGKILL)", "WORKER_FAILED"};
    co_await api::respond_error(exchange, std::move(error));
}

/// The hive breaks the connection before it has said anything.
asio::awaitable<void> hive_breaks(FakeHive&, http::Exchange& exchange) {
    exchange.abort();
    co_return;
}

/// A head, and then nothing any more.
asio::awaitable<void> head_only(FakeHive&, http::Exchange& exchange) {
    http::Headers headers;
    headers.set("Content-Type", "text/event-stream");
    const auto begun = co_await exchange.begin_stream(200, std::move(headers));
    EXPECT_TRUE(begun);
    exchange.abort();
}

class FailoverTest : public GatewayTest {
protected:
    /// The first `count` requests end like this, all others well.
    static FakeHive::Handler failing(std::size_t count, FakeHive::Handler how) {
        return [count, how](FakeHive& self, http::Exchange& exchange) -> asio::awaitable<void> {
            return self.seen.size() <= count ? how(self, exchange) : answer(exchange, 200, "{}");
        };
    }
    asio::awaitable<void> wait_until(http::Exchange& exchange, const bool* condition) {
        while (!*condition) {
            co_await timers_.sleep_for(milliseconds(1));
        }
        co_await answer(exchange, 200, "{}");
    }
    bool finished_ = false;

    double metric(const std::string& line) {
        const std::string text = metrics_.text();
        const auto at = text.find("\n" + line + " ");
        return at == std::string::npos ? -1 : std::stod(text.substr(at + line.size() + 2));
    }
};

TEST_F(FailoverTest, AnotherWorkerServesWhatTheFirstDidNot) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}, {"w2", WorkerState::idle}});
    hive.handler = failing(1, worker_died);
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, tiny);
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(hive.seen.size(), 2U);
        EXPECT_NE(
            hive.seen.at(0).headers.find("X-Rbee-Worker"),
            hive.seen.at(1).headers.find("X-Rbee-Worker")
        );
        EXPECT_EQ(hive.bodies.at(1), tiny);
        EXPECT_EQ(metric("rbee_queen_retries_total"), 1);
    });
}

TEST_F(FailoverTest, RepetitionGoesElsewhereEvenIfThatIsBusier) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}, {"w2", WorkerState::idle}}, 2);
    hive.handler = [this](FakeHive& self, http::Exchange& exchange) {
        return self.seen.size() == 1   ? wait_until(exchange, &finished_)
               : self.seen.size() == 2 ? worker_died(self, exchange)
                                       : answer(exchange, 200, "{}");
    };
    http::Response long_one;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, long_one);
        co_await until([&] { return hive.running == 1; });
        EXPECT_EQ((co_await post(chat, tiny)).status, 200);
        EXPECT_EQ(hive.seen.size(), 3U);
        EXPECT_EQ(
            hive.seen.at(0).headers.find("X-Rbee-Worker"),
            hive.seen.at(2).headers.find("X-Rbee-Worker")
        );
        finished_ = true;
        co_await until([&] { return long_one.status == 200; });
    });
}

TEST_F(FailoverTest, ConnectionThatBreaksBeforeTheHeadIsTriedElsewhere) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}, {"w2", WorkerState::idle}});
    hive.handler = failing(1, hive_breaks);
    run([&]() -> asio::awaitable<void> {
        EXPECT_EQ((co_await post(chat, tiny)).status, 200);
        EXPECT_EQ(hive.seen.size(), 2U);
    });
}

TEST_F(FailoverTest, HeadWithoutAByteIsNoAnswerYet) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}, {"w2", WorkerState::idle}});
    hive.handler = failing(1, head_only);
    run([&]() -> asio::awaitable<void> {
        EXPECT_EQ((co_await post(chat, tiny)).status, 200);
        EXPECT_EQ(hive.seen.size(), 2U);
    });
}

TEST_F(FailoverTest, RequestThatKillsTwoWorkersIsNotGivenToAThird) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}, {"w2", WorkerState::idle}, {"w3", WorkerState::idle}});
    hive.handler = worker_died;
    run([&]() -> asio::awaitable<void> {
        const auto answer = co_await post(chat, tiny);
        EXPECT_EQ(answer.status, 502);
        EXPECT_THAT(answer.body, HasSubstr("WORKER_FAILED"));
        EXPECT_THAT(answer.body, HasSubstr("SIGKILL"));
        EXPECT_EQ(hive.seen.size(), 2U);
        EXPECT_EQ(metric("rbee_queen_retries_refused_total{reason=\"attempts\"}"), 1);
    });
}

TEST_F(FailoverTest, WaitsForTheRestartOfTheOnlyWorker) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hive.handler = failing(1, [this](FakeHive& self, http::Exchange& exchange) {
        report_backoff("h1", "w1", seconds(1));
        return worker_died(self, exchange);
    });
    http::Response answer;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, answer);
        co_await until([&] { return hive.seen.size() == 1 && dispatcher_->waiting() == 1; });
        report("h1", {{"w1", WorkerState::loading}});
        report("h1", {{"w1", WorkerState::idle}});
        co_await until([&] { return running_.count() == 0; });
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(hive.spawns, 0);
    });
}

TEST_F(FailoverTest, RestartAfterTheDeadlineIsNotWaitedFor) {
    start({});
    FakeHive& hive = add_hive("h1");
    report_backoff("h1", "w1", seconds(20));
    run([&]() -> asio::awaitable<void> {
        http::Headers headers;
        headers.add("X-Request-Timeout-Ms", "5000");
        const auto answer = co_await post_with(headers, chat, tiny);
        EXPECT_EQ(answer.status, 503);
        EXPECT_THAT(answer.body, HasSubstr("MODEL_UNAVAILABLE"));
        EXPECT_THAT(answer.body, HasSubstr("SIGKILL"));
        const int after = std::stoi(std::string(answer.headers.find("Retry-After").value_or("0")));
        EXPECT_GE(after, 19);
        EXPECT_LE(after, 20);
        EXPECT_TRUE(hive.seen.empty());
        EXPECT_EQ(hive.spawns, 0);
    });
}

Error breaker_open(int retry_after_s) {
    Error error{
        Errc::unavailable, "starts of tiny fail: out of memory, 5 times", "MODEL_UNAVAILABLE"
    };
    error.details = "{\"retry_after_s\":" + std::to_string(retry_after_s) + "}";
    return error;
}

TEST_F(FailoverTest, RefusalOfAStartGoesToTheClientWithItsTime) {
    start({});
    FakeHive& hive = add_hive("h1");
    hive.spawn_answer = api::error_response(breaker_open(217), "id");
    report("h1", {});
    run([&]() -> asio::awaitable<void> {
        for (int i = 1; i <= 2; ++i) {
            const auto answer = co_await post(chat, tiny);
            EXPECT_EQ(answer.status, 503);
            EXPECT_THAT(answer.body, HasSubstr("MODEL_UNAVAILABLE"));
            EXPECT_THAT(answer.body, HasSubstr("out of memory"));
            EXPECT_EQ(answer.headers.find("Retry-After"), "217");
            EXPECT_EQ(hive.spawns, i) << "the hive knows best until when";
        }
    });
}

TEST_F(FailoverTest, ModelThatOneHiveRefusesIsStartedOnAnother) {
    start({});
    FakeHive& first = add_hive("h1");
    FakeHive& second = add_hive("h2");
    first.spawn_answer = api::error_response(breaker_open(217), "id");
    second.spawn_answer.body = R"({"worker_id":"w2","url":"http://x","state":"loading"})";
    report("h1", {});
    report("h2", {});
    http::Response answer;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, answer);
        co_await until([&] { return second.spawns == 1; });
        report("h2", {{"w2", WorkerState::idle}});
        co_await until([&] { return running_.count() == 0; });
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(first.spawns, 1);
    });
}

TEST_F(FailoverTest, StartThatItsHiveRepeatsIsWaitedFor) {
    start({});
    FakeHive& hive = add_hive("h1");
    hive.spawn_answer.body = R"({"worker_id":"w1","url":"http://x","state":"loading"})";
    report("h1", {});
    http::Response answer;
    run([&]() -> asio::awaitable<void> {
        spawn_post(tiny, answer);
        co_await until([&] { return hive.spawns == 1; });
        report("h1", {{"w1", WorkerState::loading}});
        report_backoff("h1", "w1", seconds(1));
        co_await timers_.sleep_for(milliseconds(20));
        EXPECT_EQ(dispatcher_->waiting(), 1U);
        report("h1", {{"w1", WorkerState::idle}});
        co_await until([&] { return running_.count() == 0; });
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(hive.spawns, 1);
    });
}

TEST_F(FailoverTest, HiveThatVanishesIsWaitedFor) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    hive.handler = failing(1, hive_breaks);
    http::Response answer;
    run([&]() -> asio::awaitable<void> {
        fleet_.unreachable("h1", "the hive ended: killed by signal 9 (SIGKILL)");
        spawn_post(tiny, answer);
        co_await until([&] { return dispatcher_->waiting() == 1; });
        EXPECT_TRUE(hive.seen.empty());
        report("h1", {{"w1", WorkerState::idle}}); // it is back, and has its worker still
        co_await until([&] { return running_.count() == 0; });
        EXPECT_EQ(answer.status, 200);
    });
}

TEST_F(FailoverTest, RepetitionsStayWithinTheBudget) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}, {"w2", WorkerState::idle}}, 100);
    hive.handler = worker_died;
    std::array<http::Response, 50> answers;
    run([&]() -> asio::awaitable<void> {
        for (auto& one : answers) {
            spawn_post(tiny, one);
        }
        co_await until([&] { return running_.count() == 0 && hive.seen.size() >= 50; });
        EXPECT_EQ(hive.seen.size(), 50U + 32U); // ten percent of 50 are less than the reserve
        EXPECT_EQ(metric("rbee_queen_retries_refused_total{reason=\"budget\"}"), 50 - 32);
        for (const auto& one : answers) {
            EXPECT_EQ(one.status, 502);
        }
    });
}

TEST_F(FailoverTest, WorkerThatKeepsFailingIsLeftToTheOthers) {
    start({});
    FakeHive& hive = add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}, {"w2", WorkerState::idle}});
    hive.handler = [](FakeHive& self, http::Exchange& exchange) -> asio::awaitable<void> {
        const bool bad = exchange.head().headers.find("X-Rbee-Worker") == "w1";
        return bad ? worker_died(self, exchange) : answer(exchange, 200, "{}");
    };
    run([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 40 && fleet_.find_worker("w1")->breaker.state() ==
                                      domain::RouteBreaker::State::closed;
             ++i) {
            EXPECT_EQ((co_await post(chat, tiny)).status, 200);
            co_await timers_.sleep_for(milliseconds(i < 3 ? 260 : 100)); // its hold
        }
        EXPECT_EQ(metric("rbee_queen_route_breaker_activations_total{target=\"worker\"}"), 1);
        co_await timers_.sleep_for(milliseconds(260));
        const std::size_t before = hive.seen.size();
        for (int i = 0; i < 5; ++i) {
            EXPECT_EQ((co_await post(chat, tiny)).status, 200);
        }
        EXPECT_EQ(hive.seen.size(), before + 5) << "no attempt was lost on it";
    });
}

} // namespace
} // namespace rbee::queen::test
