#include "rbee/worker/answer.hpp"
#include "rbee/worker/generation.hpp"
#include "rbee/worker/generation_stream.hpp"
#include "rbee/worker/slots.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace rbee::worker {
namespace {

namespace asio = boost::asio;

TEST(SlotPool, GivesEachSlotOnceAndTakesItBackOnce) {
    std::vector<std::uint32_t> seen;
    SlotPool pool([&](std::uint32_t busy) { seen.push_back(busy); });
    EXPECT_FALSE(pool.try_take().has_value()); // no model, no slots
    pool.set_total(2);
    auto first = pool.try_take();
    auto second = pool.try_take();
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(pool.try_take().has_value());
    {
        const SlotPool::Lease moved = std::move(*first);
        first.reset();
        EXPECT_EQ(pool.busy(), 2U);
    }
    EXPECT_EQ(pool.busy(), 1U);
    second.reset();
    EXPECT_EQ(pool.busy(), 0U);
    EXPECT_THAT(seen, testing::ElementsAre(1, 2, 1, 0));
}

/// Reads a stream to its end on its own loop while threads write to it.
class StreamTest : public testing::Test {
protected:
    asio::awaitable<void> read_all() {
        while (!end_) {
            auto batch = co_await stream_.next();
            for (auto& piece : batch.pieces) {
                text_ += piece.chunk.text;
                ++pieces_;
            }
            end_ = batch.end;
        }
    }

    asio::io_context loop_{1};
    runtime::SystemTimers timers_{loop_.get_executor()};
    int overflows_ = 0;
    GenerationStream stream_{timers_, 100, [this] { ++overflows_; }};
    std::string text_;
    int pieces_ = 0;
    std::optional<engine::End> end_;
};

TEST_F(StreamTest, CarriesEverythingInOrderFromAnotherThread) {
    std::string expected;
    for (int i = 0; i < 5000; ++i) {
        expected += std::to_string(i) + " ";
    }
    auto guard = asio::make_work_guard(loop_);
    asio::co_spawn(loop_, read_all(), [&](const std::exception_ptr&) { guard.reset(); });
    std::thread engine([sink = stream_.sink()] {
        for (int i = 0; i < 5000; ++i) {
            sink->on_chunk({.text = std::to_string(i) + " ", .wire = {}, .token_ids = {i}});
        }
        engine::End end;
        end.usage.completion_tokens = 5000;
        sink->on_end(end);
    });
    loop_.run_for(std::chrono::seconds(20));
    engine.join();
    EXPECT_EQ(text_, expected);
    EXPECT_EQ(pieces_, 5000);
    ASSERT_TRUE(end_.has_value());
    EXPECT_EQ(end_->usage.completion_tokens, 5000U);
}

TEST_F(StreamTest, TellsOnceThatTheReaderIsTooSlow) {
    const auto sink = stream_.sink();
    for (int i = 0; i < 3; ++i) {
        sink->on_chunk({.text = std::string(60, 'x'), .wire = {}, .token_ids = {}});
    }
    loop_.run();
    EXPECT_EQ(overflows_, 1);
    loop_.restart();
    asio::co_spawn(loop_, read_all(), asio::detached);
    sink->on_end({});
    loop_.run();
    EXPECT_EQ(text_.size(), 180U); // what came is still there
    EXPECT_EQ(overflows_, 1);
}

TEST(GenerationStream, ItsSinkMayOutliveIt) {
    asio::io_context loop;
    runtime::SystemTimers timers(loop.get_executor());
    std::shared_ptr<engine::GenerationSink> sink;
    {
        const GenerationStream stream(timers, 100, [] { FAIL(); });
        sink = stream.sink();
        sink->on_chunk({.text = std::string(1000, 'x'), .wire = {}, .token_ids = {}});
    }
    loop.run();
    sink->on_end({});
    loop.restart();
    loop.run();
}

InferAnswer::Options infer_options(bool streaming) {
    return {
        .job_id = "job",
        .model = "tiny",
        .seed = 42,
        .started_at = WallTime(std::chrono::seconds(1'767'225'600)),
        .streaming = streaming,
    };
}

engine::Chunk token(std::string text) {
    return {.text = std::move(text), .wire = {}, .token_ids = {7}};
}

TEST(InferAnswer, WritesTypedEvents) {
    InferAnswer answer(infer_options(true));
    std::string out;
    answer.add({}, TimePoint(), out);
    EXPECT_EQ(out, ""); // the engine has begun: nothing to show
    answer.add(token("Hel\"lo\n"), TimePoint(), out);
    answer.add(token(""), TimePoint(), out); // completes in the next one
    answer.add(token("ü"), TimePoint() + std::chrono::seconds(1), out);
    engine::End end;
    end.stop = engine::StopReason::stop_sequence;
    end.stop_sequence = "###";
    end.usage = {.prompt_tokens = 5, .completion_tokens = 3, .decode_ms = 20.6};
    answer.finish(end, out);
    EXPECT_EQ(
        out,
        R"(data: {"type":"started","job_id":"job","model":"tiny",)"
        R"("started_at":"2026-01-01T00:00:00.000Z","seed":42})"
        "\n\n"
        R"(data: {"type":"token","t":"Hel\"lo\n","i":0})"
        "\n\n"
        R"(data: {"type":"token","t":"","i":1})"
        "\n\n"
        R"(data: {"type":"token","t":"ü","i":2})"
        "\n\n"
        R"(data: {"type":"metrics","job_id":"job","tokens_out":3,"decode_time_ms":1000,)"
        R"("tokens_per_sec":2E0,"vram_bytes":0})"
        "\n\n"
        R"(data: {"type":"end","tokens_out":3,"tokens_in":5,"decode_time_ms":21,)"
        R"("stop_reason":"STOP_SEQUENCE","stop_sequence_matched":"###"})"
        "\n\ndata: [DONE]\n\n"
    );
}

TEST(InferAnswer, BeginsAStreamThatHasNoTokens) {
    InferAnswer answer(infer_options(true));
    std::string out;
    answer.finish({}, out);
    EXPECT_THAT(out, testing::StartsWith(R"(data: {"type":"started")"));
    EXPECT_THAT(out, testing::HasSubstr(R"("stop_reason":"EOS"})"));
    EXPECT_THAT(out, testing::EndsWith("data: [DONE]\n\n"));
}

TEST(InferAnswer, WritesOneDocument) {
    InferAnswer answer(infer_options(false));
    std::string out;
    answer.add(token("Hello"), TimePoint(), out);
    answer.add(token(" world"), TimePoint(), out);
    EXPECT_EQ(out, "");
    engine::End end;
    end.stop = engine::StopReason::max_tokens;
    end.usage = {.prompt_tokens = 3, .completion_tokens = 2, .decode_ms = 12.4};
    answer.finish(end, out);
    EXPECT_EQ(
        out,
        R"({"job_id":"job","model":"tiny","text":"Hello world","seed":42,"tokens_out":2,)"
        R"("tokens_in":3,"decode_time_ms":12,"stop_reason":"MAX_TOKENS"})"
    );
}

TEST(WireAnswer, PassesBytesAsTheyAre) {
    WireAnswer answer(engine::Dialect::messages, true);
    std::string out;
    answer.add({.text = "shown elsewhere", .wire = "event: x\n\n", .token_ids = {}}, {}, out);
    answer.finish({}, out);
    EXPECT_EQ(out, "event: x\n\n");
    EXPECT_EQ(answer.error_dialect(), api::StreamDialect::anthropic);
}

struct FailureRow {
    CancelReason reason;
    Errc before;
    std::string before_code;
    Errc after;
    std::string after_code;
};

TEST(Failure, OfACancelledGenerationNamesTheReason) {
    const std::vector<FailureRow> rows = {
        {CancelReason::requested, Errc::cancelled, "", Errc::cancelled, "CANCELLED"},
        {CancelReason::deadline, Errc::timeout, "", Errc::timeout, "TIMEOUT"},
        {CancelReason::stalled, Errc::cancelled, "", Errc::cancelled, "CANCELLED"},
        {CancelReason::shutdown, Errc::unavailable, "WORKER_NOT_READY", Errc::cancelled, "CANCELLED"
        },
    };
    for (const FailureRow& row : rows) {
        engine::End end;
        end.stop = engine::StopReason::cancelled;
        end.cancel_reason = row.reason;
        const auto before = failure_of(end, false);
        const auto after = failure_of(end, true);
        ASSERT_TRUE(before && after);
        EXPECT_EQ(before->code, row.before);
        EXPECT_EQ(before->wire_code, row.before_code);
        EXPECT_EQ(after->code, row.after);
        EXPECT_EQ(after->wire_code, row.after_code);
    }
    engine::End gone;
    gone.stop = engine::StopReason::cancelled;
    gone.cancel_reason = CancelReason::client_gone;
    EXPECT_FALSE(failure_of(gone, true).has_value());
}

} // namespace
} // namespace rbee::worker
