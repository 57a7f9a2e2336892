#include "rbee/base/cancel.hpp"
#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/llama_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace rbee::engine::test {
namespace {

using std::chrono::steady_clock;
constexpr std::string_view endless = R"({"prompt":"x","n_predict":-1})";
constexpr std::chrono::seconds soon{5};

/// Cancels and expects the end soon after; the time goes into the test report.
class CancelTest : public EngineTest {
protected:
    void cancel(const std::string& id, Recorder& sink) {
        const auto begin = steady_clock::now();
        engine_->cancel(id, CancelReason::requested);
        const auto returned = steady_clock::now();
        const End end = sink.wait_end();
        EXPECT_EQ(end.stop, StopReason::cancelled);
        EXPECT_EQ(end.cancel_reason, CancelReason::requested);
        const auto took = sink.ended_at() - begin;
        EXPECT_LT(took, soon);
        call_us_.push_back(std::chrono::duration<double, std::micro>(returned - begin).count());
        end_us_.push_back(std::chrono::duration<double, std::micro>(took).count());
    }

    void TearDown() override {
        if (!end_us_.empty()) {
            report("cancel_returns_us", call_us_);
            report("sink_has_end_us", end_us_);
        }
        EngineTest::TearDown();
    }

    void wait_busy(std::uint32_t slots) {
        wait_stats([slots](const Stats& stats) { return stats.slots_busy == slots; });
    }

    /// A prompt that the slow model needs seconds for; different each time, so never cached.
    std::string long_prompt() {
        const std::string salt = std::to_string(++salt_);
        return R"({"n_predict":5,"prompt":")" + salt + std::string(3000, 'x') + "\"}";
    }

private:
    static void report(const std::string& name, std::vector<double> values) {
        std::ranges::sort(values);
        RecordProperty(name + "_p50", std::to_string(values[values.size() / 2]));
        RecordProperty(name + "_max", std::to_string(values.back()));
    }

    std::vector<double> call_us_;
    std::vector<double> end_us_;
    int salt_ = 0;
};

TEST_F(CancelTest, InDecode) {
    load(counting_model(), 2, {"--context-shift"});
    const auto other = infer(R"({"prompt":"x","n_predict":400})");
    for (int round = 0; round < 20; ++round) {
        const auto sink = infer(std::string(endless), "victim");
        sink->wait_chunks(3);
        cancel("victim", *sink);
        EXPECT_EQ(sink->text(), counted(sink->chunks()));
    }
    other->wait_end();
    EXPECT_EQ(other->text(), counted(400));
    wait_busy(0);
}

TEST_F(CancelTest, KnowsHowFarItGot) {
    load(counting_model());
    const auto sink = infer(std::string(endless), "victim");
    sink->wait_chunks(10);
    engine_->cancel("victim", CancelReason::deadline);
    const End end = sink->wait_end();
    EXPECT_EQ(end.cancel_reason, CancelReason::deadline);
    EXPECT_GE(end.usage.completion_tokens, 10U);
    EXPECT_GT(end.usage.prompt_tokens, 0U);
    EXPECT_NE(end.seed, 0U);
}

TEST_F(CancelTest, Queued) {
    load(counting_model(), 1, {"--context-shift"});
    const auto running = infer(std::string(endless), "running");
    running->wait_chunks(1);
    for (int round = 0; round < 20; ++round) {
        const auto sink = infer(std::string(endless), "victim");
        if (round % 2 == 0) {
            wait_stats([](const Stats& stats) { return stats.requests_waiting == 1; });
        }
        cancel("victim", *sink);
        EXPECT_EQ(sink->chunks(), 0U);
    }
    // More than there are reader threads, so that some wait in our own queue.
    std::vector<std::shared_ptr<Recorder>> sinks;
    for (int i = 0; i < 20; ++i) {
        sinks.push_back(infer(std::string(endless), "v" + std::to_string(i)));
    }
    wait_stats([](const Stats& stats) { return stats.requests_waiting == 20; });
    for (int i = 19; i >= 0; --i) {
        cancel("v" + std::to_string(i), *sinks[static_cast<std::size_t>(i)]);
    }
    EXPECT_FALSE(running->ended());
    cancel("running", *running);
    EXPECT_EQ(running->text(), counted(running->chunks()));
    wait_busy(0);
}

TEST_F(CancelTest, InPrefill) {
    load(slow_model(), 2, {"-c", "8192"});
    for (int round = 0; round < 5; ++round) {
        const auto sink = infer(long_prompt(), "victim");
        wait_busy(1);
        std::this_thread::sleep_for(std::chrono::milliseconds(20 + round * 13));
        const auto begin = steady_clock::now();
        cancel("victim", *sink);
        EXPECT_EQ(sink->chunks(), 0U);
        wait_busy(0);
        const std::chrono::duration<double, std::milli> freed = steady_clock::now() - begin;
        RecordProperty("slot_free_ms_" + std::to_string(round), std::to_string(freed.count()));
    }
}

TEST_F(CancelTest, OthersStayExactWhilePromptsAreCancelled) {
    load(counting_model(), 4, {"-c", "16384"});
    std::vector<std::shared_ptr<Recorder>> streams;
    for (int i = 0; i < 3; ++i) {
        streams.push_back(infer(R"({"prompt":"x","n_predict":400})"));
    }
    int cancelled = 0;
    while (!std::ranges::all_of(streams, [](const auto& one) { return one->ended(); })) {
        const auto sink = infer(long_prompt(), "victim");
        std::this_thread::sleep_for(std::chrono::microseconds(cancelled * 97 % 5000));
        engine_->cancel("victim", CancelReason::requested);
        sink->wait_end();
        ++cancelled;
    }
    for (const auto& stream : streams) {
        EXPECT_EQ(stream->text(), counted(400));
    }
    RecordProperty("cancelled", cancelled);
    wait_busy(0);
}

TEST_F(CancelTest, AtEveryMoment) {
    load(counting_model(), 2);
    for (int round = 0; round < 200; ++round) {
        const auto sink = infer(R"({"prompt":"x","n_predict":5})", "victim");
        if (round % 3 != 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(round * 10));
        }
        engine_->cancel("victim", CancelReason::client_gone);
        engine_->cancel("victim", CancelReason::requested);
        const End end = sink->wait_end();
        if (end.stop == StopReason::cancelled) {
            EXPECT_EQ(end.cancel_reason, CancelReason::client_gone);
        } else {
            EXPECT_EQ(end.stop, StopReason::max_tokens);
            EXPECT_EQ(sink->text(), counted(5));
        }
        // The name is free again once the engine has let go.
        wait_stats([](const Stats& stats) {
            return stats.slots_busy == 0 && stats.requests_waiting == 0;
        });
    }
}

TEST_F(CancelTest, AllChoices) {
    load(counting_model(), 4, {"--context-shift"});
    const auto sink = start(
        Dialect::chat,
        R"({"messages":[{"role":"user","content":"hi"}],"n":3,"max_tokens":-1})",
        true,
        "victim"
    );
    sink->wait_chunks(5);
    cancel("victim", *sink);
    wait_busy(0);
}

TEST_F(CancelTest, UnknownIdsAreIgnored) {
    load(counting_model());
    engine_->cancel("nobody", CancelReason::requested);
    const auto sink = infer(R"({"prompt":"x","n_predict":3})", "done");
    EXPECT_EQ(sink->wait_end().stop, StopReason::max_tokens);
    engine_->cancel("done", CancelReason::requested);
}

TEST_F(CancelTest, SecondUseOfARunningId) {
    load(counting_model(), 2, {"--context-shift"});
    const auto first = infer(std::string(endless), "same");
    first->wait_chunks(1);
    const auto second = infer(std::string(endless), "same");
    const End end = second->wait_end();
    EXPECT_EQ(end.stop, StopReason::error);
    EXPECT_EQ(end.error.code, Errc::conflict);
    EXPECT_FALSE(first->ended());
    cancel("same", *first);
}

TEST_F(CancelTest, StopEndsEverything) {
    load(slow_model(), 2, {"-c", "8192"});
    std::vector<std::shared_ptr<Recorder>> sinks;
    for (int i = 0; i < 12; ++i) {
        sinks.push_back(infer(i % 2 == 0 ? long_prompt() : std::string(endless)));
    }
    wait_busy(2);
    engine_->stop();
    for (const auto& sink : sinks) {
        ASSERT_TRUE(sink->ended());
        EXPECT_EQ(sink->wait_end().stop, StopReason::cancelled);
        EXPECT_EQ(sink->wait_end().cancel_reason, CancelReason::shutdown);
    }
    const auto late = infer(std::string(endless));
    EXPECT_EQ(late->wait_end().error.code, Errc::unavailable);
    EXPECT_EQ(call(Route::models).status, 503);
    EXPECT_EQ(engine_->stats().slots_total, 2U);
}

TEST_F(CancelTest, StopWhileOthersStartAndCancel) {
    load(counting_model(), 2, {"--context-shift"});
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([this, t] {
            for (int i = 0; i < 100; ++i) {
                const std::string id = std::to_string(t) + "-" + std::to_string(i);
                auto sink = std::make_shared<Recorder>();
                engine_->start({.id = id, .body = std::string(endless), .stream = true}, sink);
                (void)engine_->stats();
                engine_->cancel(id, CancelReason::requested);
                sink->wait_end();
            }
        });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    engine_->stop();
    for (std::thread& thread : threads) {
        thread.join();
    }
}

} // namespace
} // namespace rbee::engine::test
