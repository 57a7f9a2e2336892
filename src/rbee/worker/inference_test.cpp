#include "rbee/worker/service_fixture.hpp"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rbee::worker {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view own_id = "0b0b0b0b-1111-4222-8333-444444444444";

std::string code_of(const http::Response& response) {
    return std::string(json::parse(response.body).at("error").at("code").as_string());
}

/// The data of each event of a stream.
std::vector<std::string> events_of(std::string_view stream) {
    http::SseReader reader;
    std::vector<std::string> out;
    for (const http::SseEvent& event : reader.feed(stream)) {
        out.push_back(event.data);
    }
    return out;
}

class InferenceTest : public ServiceTest {
protected:
    /// An endless generation whose first token is there.
    Stream open_endless(const std::string& path, const std::string& body) {
        auto wanted = request("POST", path, body);
        wanted.headers.add("X-Correlation-Id", std::string(own_id));
        Stream stream = open(std::move(wanted));
        EXPECT_EQ(stream->head().status, 200);
        return stream;
    }
    void expect_free() {
        run_until([this] { return service_.slots_busy() == 0; });
        EXPECT_TRUE(metric("rbee_worker_slots_busy 0"));
    }
};

TEST_F(InferenceTest, StreamsTypedEventsOnEveryPath) {
    load();
    engine_.set_fallback(hello());
    for (const char* path : {"/v1/inference", "/infer", "/execute"}) {
        const auto answer = post(path, R"({"prompt":"p","job_id":"j-1","seed":5})");
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(answer.content_type, "text/event-stream");
        EXPECT_THAT(
            events_of(answer.body),
            testing::ElementsAre(
                R"({"type":"started","job_id":"j-1","model":"tiny",)"
                R"("started_at":"2026-01-01T00:00:00.000Z","seed":5})",
                R"({"type":"token","t":"Hello","i":0})",
                R"({"type":"token","t":" world","i":1})",
                R"({"type":"end","tokens_out":2,"tokens_in":3,"decode_time_ms":12,)"
                R"("stop_reason":"EOS"})",
                "[DONE]"
            )
        );
    }
    expect_free();
    EXPECT_TRUE(metric(R"(rbee_worker_requests_total{dialect="infer",outcome="success"} 3)"));
    EXPECT_TRUE(metric("rbee_worker_generated_tokens_total 6"));
    EXPECT_TRUE(metric("rbee_worker_prompt_tokens_total 9"));
    EXPECT_TRUE(metric("rbee_worker_time_to_first_token_seconds_count 3"));
    EXPECT_TRUE(metric("rbee_worker_inter_token_seconds_count 3"));
    EXPECT_TRUE(logged(R"("event":"inference_start")"));
    EXPECT_TRUE(logged("Inference complete"));
}

TEST_F(InferenceTest, AnswersWithOneDocumentWhenNotStreaming) {
    load();
    engine_.set_fallback(hello());
    auto wanted = request("POST", "/v1/inference", R"({"prompt":"p","stream":false})");
    wanted.headers.add("X-Correlation-Id", std::string(own_id));
    const auto answer = fetch(std::move(wanted));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.content_type, "application/json");
    // The id is the correlation id, the seed our own choice: both can be used later.
    EXPECT_EQ(
        answer.body,
        R"({"job_id":")" + std::string(own_id) +
            R"(","model":"tiny","text":"Hello world","seed":77,"tokens_out":2,"tokens_in":3,)"
            R"("decode_time_ms":12,"stop_reason":"EOS"})"
    );
    const auto body = json::parse(engine_.requests().back().body);
    EXPECT_EQ(body.at("seed").to_number<int>(), 77);
    EXPECT_EQ(body.at("n_predict").to_number<int>(), 100);
}

TEST_F(InferenceTest, RefusesABadRequestWithAllErrorsAndNeverThePrompt) {
    load();
    const auto answer =
        post("/v1/inference", R"({"prompt":["private"],"max_tokens":0,"temperature":9})");
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(code_of(answer), "INVALID_REQUEST");
    const auto body = json::parse(answer.body);
    EXPECT_EQ(body.at("error").at("details").at("errors").as_array().size(), 3U);
    EXPECT_THAT(answer.body, Not(HasSubstr("private")));
    EXPECT_EQ(post("/v1/inference", "no json").status, 400);
    EXPECT_EQ(post("/v1/chat/completions", "[]").status, 400);
    EXPECT_TRUE(engine_.requests().empty());
    EXPECT_TRUE(metric(R"(rbee_worker_requests_total{dialect="infer",outcome="invalid"} 2)"));
}

TEST_F(InferenceTest, NeverLogsThePrompt) {
    load();
    engine_.set_fallback(hello());
    post("/v1/inference", R"({"prompt":"words-of-the-client"})");
    EXPECT_FALSE(logged("words-of-the-client"));
    EXPECT_FALSE(logged("Hello"));
}

TEST_F(InferenceTest, HoldsTheHeadSoThatAnEarlyErrorIsAnHttpError) {
    load();
    engine::End end;
    end.stop = engine::StopReason::error;
    end.error = {Errc::invalid_argument, "the prompt is longer than the context", {}};
    engine_.set_fallback({.chunks = {engine::Chunk{}}, .end = end});
    const auto answer = post("/v1/inference", R"({"prompt":"p"})");
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(code_of(answer), "INVALID_REQUEST");
    end.error = {Errc::internal, "decode failed", {}};
    engine_.set_fallback({.chunks = {}, .end = end});
    const auto failed = post("/v1/chat/completions", R"({"stream":true})");
    EXPECT_EQ(failed.status, 500);
    EXPECT_EQ(code_of(failed), "INFERENCE_FAILED");
    expect_free();
    EXPECT_TRUE(metric(R"(rbee_worker_requests_total{dialect="chat",outcome="error"} 1)"));
}

TEST_F(InferenceTest, AnErrorInTheStreamIsItsOneTerminalEvent) {
    load();
    engine::End end;
    end.stop = engine::StopReason::error;
    end.error = {Errc::internal, "decode failed", {}};
    engine_.set_fallback({.chunks = {word("Hello"), word("!")}, .end = end, .free_chunks = 1});
    Stream stream = open_endless("/v1/inference", R"({"prompt":"p"})");
    advance_last();
    const auto events = events_of(read_until(*stream, ""));
    ASSERT_EQ(events.size(), 5U); // started and two tokens in front
    EXPECT_THAT(events[3], HasSubstr(R"("type":"error","code":"INFERENCE_FAILED")"));
    EXPECT_EQ(events[4], "[DONE]");
    expect_free();
}

TEST_F(InferenceTest, PassesTheEnginesBytesInOtherDialects) {
    load();
    const std::string sse = "data: {\"choices\":[]}\n\ndata: [DONE]\n\n";
    for (const char* path :
         {"/v1/completions", "/v1/chat/completions", "/v1/responses", "/v1/messages"}) {
        engine_.set_fallback({.chunks = {{.text = {}, .wire = sse, .token_ids = {1}}}, .end = {}});
        const auto streamed = post(path, R"({"stream":true,"model":"tiny"})");
        EXPECT_EQ(streamed.status, 200);
        EXPECT_EQ(streamed.content_type, "text/event-stream");
        EXPECT_EQ(streamed.body, sse);
        EXPECT_TRUE(engine_.requests().back().stream);
        engine_.set_fallback(
            {.chunks = {{.text = {}, .wire = "{\"x\":1}", .token_ids = {}}}, .end = {}}
        );
        const auto whole = post(path, R"({"model":"tiny"})");
        EXPECT_EQ(whole.content_type, "application/json");
        EXPECT_EQ(whole.body, "{\"x\":1}");
        EXPECT_FALSE(engine_.requests().back().stream);
        EXPECT_EQ(engine_.requests().back().body, R"({"model":"tiny"})");
    }
    EXPECT_TRUE(metric(R"(rbee_worker_requests_total{dialect="messages",outcome="success"} 2)"));
}

TEST_F(InferenceTest, TakesNoMoreRequestsThanSlots) {
    load(4);
    engine_.set_fallback(endless());
    std::vector<Stream> streams;
    for (int i = 0; i < 3; ++i) {
        streams.push_back(open_endless("/v1/inference", R"({"prompt":"p"})"));
    }
    EXPECT_EQ(service_.slots_busy(), 3U);
    // Two arrive at the same moment for one slot.
    auto first = start(client_.open(endpoint_, request("POST", "/infer", R"({"prompt":"a"})"), {}));
    auto second =
        start(client_.open(endpoint_, request("POST", "/infer", R"({"prompt":"b"})"), {}));
    std::vector<Stream> both;
    both.push_back(std::move(*finish(first)));
    both.push_back(std::move(*finish(second)));
    const bool first_won = both[0]->head().status == 200;
    EXPECT_EQ(both[first_won ? 0 : 1]->head().status, 200);
    EXPECT_EQ(both[first_won ? 1 : 0]->head().status, 503);
    const std::string refused = read_until(*both[first_won ? 1 : 0], "");
    EXPECT_THAT(refused, HasSubstr(R"("code":"ALL_SLOTS_BUSY")"));
    EXPECT_THAT(refused, HasSubstr(R"("details":{"slots_total":4,"slots_busy":4})"));
    EXPECT_EQ(service_.slots_busy(), 4U);
    EXPECT_TRUE(metric(R"(rbee_worker_requests_total{dialect="infer",outcome="busy"} 1)"));
    EXPECT_TRUE(metric(R"(rbee_worker_state{state="busy"} 1)"));
    streams.clear();
    both.clear();
    expect_free();
    EXPECT_TRUE(metric(R"(rbee_worker_cancellations_total{reason="client_gone"} 4)"));
}

TEST_F(InferenceTest, NoticesThatTheClientHasGone) {
    load();
    engine_.set_fallback(endless());
    Stream stream = open_endless("/v1/chat/completions", R"({"stream":true})");
    EXPECT_EQ(service_.slots_busy(), 1U);
    stream.reset();
    expect_free();
    ASSERT_EQ(engine_.cancels().size(), 1U);
    EXPECT_EQ(engine_.cancels()[0].second, CancelReason::client_gone);
    EXPECT_TRUE(logged(R"("event":"inference_cancelled")"));
    engine_.set_fallback(hello());
    EXPECT_EQ(post("/v1/inference", R"({"prompt":"p"})").status, 200);
}

TEST_F(InferenceTest, MeasuresHowSoonACancelledSlotIsFree) {
    load();
    engine_.set_fallback(endless());
    Stream stream = open_endless("/v1/inference", R"({"prompt":"p"})");
    read_until(*stream, "world");
    fetch(request("DELETE", "/v1/inference/" + std::string(own_id)));
    read_until(*stream, "");
    expect_free();
    EXPECT_TRUE(metric("rbee_worker_cancel_to_slot_free_seconds_count 1"));
    EXPECT_TRUE(metric("rbee_worker_tokens_after_cancel_total 0"));
    engine_.set_fallback(hello());
    post("/v1/inference", R"({"prompt":"p"})");
    EXPECT_TRUE(metric("rbee_worker_cancel_to_slot_free_seconds_count 1"));
}

TEST_F(InferenceTest, TimesTheTokensOfAnAnswerInOnePieceByWhatTheEngineSays) {
    load();
    engine::End end;
    end.usage = {.prompt_tokens = 3, .completion_tokens = 5, .decode_ms = 800};
    engine_.set_fallback({.chunks = {{.text = {}, .wire = "{}", .token_ids = {}}}, .end = end});
    EXPECT_EQ(post("/v1/chat/completions", "{}").status, 200);
    EXPECT_TRUE(metric("rbee_worker_time_to_first_token_seconds_count 1"));
    EXPECT_TRUE(metric("rbee_worker_inter_token_seconds_count 4"));
    EXPECT_TRUE(metric("rbee_worker_inter_token_seconds_sum 0.8"));
    EXPECT_TRUE(metric(R"(rbee_worker_inter_token_seconds_bucket{le="0.1"} 0)"));
    EXPECT_TRUE(metric(R"(rbee_worker_inter_token_seconds_bucket{le="0.25"} 4)"));
}

TEST_F(InferenceTest, NoticesThatTheClientHasGoneBeforeTheFirstToken) {
    load();
    engine_.set_fallback({.chunks = {}, .end = {}, .ends = false});
    auto answer = std::make_shared<CancelSource>();
    http::CallOptions options;
    options.cancel = answer.get();
    auto pending =
        start(client_.fetch(endpoint_, request("POST", "/infer", R"({"prompt":"p"})"), options));
    run_until([this] { return service_.slots_busy() == 1; });
    answer->cancel(CancelReason::requested);
    EXPECT_FALSE(finish(pending).has_value());
    expect_free();
}

TEST_F(InferenceTest, DeleteCancelsByEitherIdAndMayBeRepeated) {
    load();
    engine_.set_fallback(endless());
    for (const std::string& id : {std::string("job-7"), std::string(own_id)}) {
        Stream stream = open_endless("/v1/inference", R"({"prompt":"p","job_id":"job-7"})");
        read_until(*stream, "world");
        EXPECT_EQ(fetch(request("DELETE", "/v1/inference/" + id)).status, 204);
        EXPECT_EQ(fetch(request("DELETE", "/v1/inference/" + id)).status, 204);
        const auto events = events_of(read_until(*stream, ""));
        ASSERT_EQ(events.size(), 2U);
        EXPECT_THAT(events[0], HasSubstr(R"("type":"error","code":"CANCELLED")"));
        EXPECT_EQ(events[1], "[DONE]");
        expect_free();
    }
    EXPECT_EQ(fetch(request("DELETE", "/v1/inference/unknown")).status, 204);
    EXPECT_TRUE(metric(R"(rbee_worker_cancellations_total{reason="requested"} 2)"));
    EXPECT_TRUE(metric(R"(rbee_worker_requests_total{dialect="infer",outcome="cancelled"} 2)"));
}

TEST_F(InferenceTest, CancelInOpenAiStreamsEndsWithAnErrorAndWithoutDone) {
    load();
    const engine::Chunk chunk{.text = {}, .wire = "data: {}\n\n", .token_ids = {1}};
    engine_.set_fallback({.chunks = {chunk}, .end = {}, .ends = false});
    Stream stream = open_endless("/v1/chat/completions", R"({"stream":true})");
    const auto cancelled = post("/cancel", R"({"job_id":")" + std::string(own_id) + "\"}");
    EXPECT_EQ(cancelled.status, 202);
    const std::string all = read_until(*stream, "");
    EXPECT_THAT(all, HasSubstr(R"("code":"CANCELLED")"));
    EXPECT_THAT(all, Not(HasSubstr("[DONE]")));
    EXPECT_EQ(post("/cancel", "{}").status, 400);
}

TEST_F(InferenceTest, CancelBeforeTheFirstTokenIsAnHttpError) {
    load();
    engine_.set_fallback({.chunks = {}, .end = {}, .ends = false});
    auto answer = begin(request("POST", "/v1/inference", R"({"prompt":"p","job_id":"j"})"));
    run_until([this] { return service_.slots_busy() == 1; });
    EXPECT_EQ(fetch(request("DELETE", "/v1/inference/j")).status, 204);
    const auto cancelled = finish(answer);
    ASSERT_TRUE(cancelled.has_value());
    EXPECT_EQ(cancelled->status, 499);
    EXPECT_EQ(code_of(*cancelled), "REQUEST_CANCELED");
}

TEST_F(InferenceTest, StopsAGenerationWhoseReaderIsFarTooSlow) {
    load();
    // The second token is more than may wait for the reader.
    engine_.set_fallback(
        {.chunks = {word("a"), word(std::string(2000, 'x'))},
         .end = {},
         .free_chunks = 1,
         .ends = false}
    );
    Stream stream = open_endless("/v1/inference", R"({"prompt":"p"})");
    advance_last();
    const auto events = events_of(read_until(*stream, ""));
    ASSERT_EQ(events.size(), 5U);
    EXPECT_THAT(events[3], HasSubstr("not read fast enough"));
    expect_free();
    EXPECT_TRUE(metric(R"(rbee_worker_cancellations_total{reason="stalled"} 1)"));
}

TEST_F(InferenceTest, RefusesWhileLoading) {
    for (const char* path : {"/v1/inference", "/v1/chat/completions"}) {
        const auto answer = post(path, R"({"prompt":"p"})");
        EXPECT_EQ(answer.status, 503);
        EXPECT_EQ(code_of(answer), "WORKER_NOT_READY");
        EXPECT_TRUE(answer.headers.find("Retry-After").has_value());
    }
    EXPECT_TRUE(metric(R"(rbee_worker_requests_total{dialect="chat",outcome="not_ready"} 1)"));
}

class DrainTest : public InferenceTest {
protected:
    void begin_drain() {
        boost::asio::co_spawn(loop_, service_.drain(), [this](const std::exception_ptr& failure) {
            EXPECT_FALSE(failure);
            drained_ = true;
        });
        run_until([this] { return service_.status().phase() == WorkerStatus::Phase::draining; });
    }
    bool drained_ = false;
};

TEST_F(DrainTest, LetsRunningRequestsFinishAndRefusesNewOnes) {
    load(2);
    engine_.set_fallback({.chunks = {word("a"), word("b")}, .end = {}, .free_chunks = 1});
    Stream stream = open_endless("/v1/inference", R"({"prompt":"p"})");
    begin_drain();
    const auto refused = post("/v1/inference", R"({"prompt":"p"})");
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(code_of(refused), "WORKER_NOT_READY");
    EXPECT_EQ(post("/tokenize", "{}").status, 503);
    timers_.advance(std::chrono::seconds(29));
    EXPECT_FALSE(drained_);
    advance_last();
    EXPECT_THAT(read_until(*stream, ""), HasSubstr(R"("stop_reason":"EOS")"));
    run_until([this] { return drained_; });
}

TEST_F(DrainTest, CancelsWhatRunsTooLong) {
    load();
    engine_.set_fallback(endless());
    Stream stream = open_endless("/v1/inference", R"({"prompt":"p"})");
    begin_drain();
    timers_.advance(std::chrono::seconds(31));
    EXPECT_THAT(read_until(*stream, ""), HasSubstr("the worker is shutting down"));
    run_until([this] { return drained_; });
    EXPECT_TRUE(metric(R"(rbee_worker_cancellations_total{reason="shutdown"} 1)"));
}

TEST_F(DrainTest, CanBeHurried) {
    load();
    engine_.set_fallback(endless());
    Stream stream = open_endless("/v1/inference", R"({"prompt":"p"})");
    begin_drain();
    EXPECT_FALSE(drained_);
    service_.hurry();
    run_until([this] { return drained_; });
    EXPECT_EQ(service_.slots_busy(), 0U);
}

} // namespace
} // namespace rbee::worker
