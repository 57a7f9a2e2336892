#include "rbee/worker/service_fixture.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace rbee::worker {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

/// Long enough for the first tokens of the scripted engine to be there.
constexpr std::string_view short_ms = "300";

engine::Chunk wire(const std::string& data, const std::string& event = {}) {
    return {
        .text = {},
        .wire = event.empty() ? http::format_sse(data) : http::format_sse(event, data),
        .token_ids = {1}
    };
}

engine::Chunk chat(const std::string& choice) {
    return wire(
        R"({"choices":[)" + choice +
        R"(],"created":7,"id":"c-1","model":"tiny","object":"chat.completion.chunk"})"
    );
}

std::vector<http::SseEvent> events_of(std::string_view stream) {
    http::SseReader reader;
    return reader.feed(stream);
}

std::string code_of(const http::Response& response) {
    return std::string(json::parse(response.body).at("error").at("code").as_string());
}

class PartialAnswerTest : public ServiceTest {
protected:
    PartialAnswerTest() { load(); }

    /// Chunks that come at once, and then nothing more.
    void script(std::vector<engine::Chunk> chunks) {
        engine_.set_fallback({.chunks = std::move(chunks), .end = {}, .ends = false});
    }
    /// The same, but it ends by itself.
    void script_whole(std::vector<engine::Chunk> chunks) {
        engine::End end;
        end.usage = {.prompt_tokens = 5, .cached_tokens = 2, .completion_tokens = 3};
        engine_.set_fallback({.chunks = std::move(chunks), .end = end});
    }
    http::Response ask(std::string path, std::string body, std::string_view timeout_ms = short_ms) {
        auto wanted = request("POST", std::move(path), std::move(body));
        wanted.headers.add("X-Deadline-Policy", "partial");
        wanted.headers.add("X-Request-Timeout-Ms", std::string(timeout_ms));
        return fetch(std::move(wanted));
    }
};

TEST_F(PartialAnswerTest, ChatStreamsEndNormallyAndSayWhy) {
    script({
        chat(R"({"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}})"),
        chat(R"({"finish_reason":null,"index":0,"delta":{"content":"Hel"}})"),
    });
    const auto answer = ask("/v1/chat/completions", R"({"stream":true})");
    EXPECT_EQ(answer.status, 200);
    const auto events = events_of(answer.body);
    ASSERT_EQ(events.size(), 4U) << answer.body;
    EXPECT_EQ(events[3].data, "[DONE]");
    EXPECT_EQ(
        json::parse(events[2].data),
        json::parse(R"({"created":7,"id":"c-1","model":"tiny","object":"chat.completion.chunk",)"
                    R"("choices":[{"finish_reason":"length","index":0,"delta":{}}],)"
                    R"("rbee":{"truncated_by":"deadline"}})")
    );
    EXPECT_TRUE(metric(R"(rbee_worker_requests_total{dialect="chat",outcome="timeout"} 1)"));
    EXPECT_TRUE(metric(R"(rbee_worker_deadline_expired_total{stage="decode"} 1)"));
    EXPECT_TRUE(metric("rbee_worker_slots_busy 0"));
}

TEST_F(PartialAnswerTest, EveryOpenChoiceIsFinishedAndTheUsageIsToldWhenItWasAskedFor) {
    script({
        chat(R"({"finish_reason":null,"index":0,"delta":{"content":"a"}})"),
        chat(R"({"finish_reason":null,"index":1,"delta":{"content":"b"}})"),
        chat(R"({"finish_reason":"stop","index":0,"delta":{}})"),
    });
    const auto answer =
        ask("/v1/chat/completions",
            R"({"stream":true,"n":2,"stream_options":{"include_usage":true}})");
    const auto events = events_of(answer.body);
    ASSERT_EQ(events.size(), 6U) << answer.body;
    EXPECT_EQ(json::parse(events[3].data).at("choices").at(0).at("index"), 1);
    EXPECT_TRUE(json::parse(events[4].data).at("usage").is_object());
    EXPECT_TRUE(json::parse(events[4].data).at("choices").as_array().empty());
}

TEST_F(PartialAnswerTest, TextStreamsEndWithAnEmptyText) {
    script({wire(R"({"choices":[{"text":"Hel","index":0,"logprobs":null,"finish_reason":null}],)"
                 R"("created":7,"model":"tiny","object":"text_completion","id":"c-1"})")});
    const auto events = events_of(ask("/v1/completions", R"({"stream":true})").body);
    ASSERT_EQ(events.size(), 3U);
    const json::value last = json::parse(events[1].data);
    EXPECT_EQ(last.at("choices").at(0).at("text"), "");
    EXPECT_EQ(last.at("choices").at(0).at("finish_reason"), "length");
    EXPECT_EQ(last.at("object"), "text_completion");
}

TEST_F(PartialAnswerTest, AnAnswerInOnePieceHasWhatThereIs) {
    script({
        chat(R"({"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}})"),
        chat(R"({"finish_reason":null,"index":0,"delta":{"reasoning_content":"Hm"}})"),
        chat(R"({"finish_reason":null,"index":0,"delta":{"content":"Hel"}})"),
        chat(R"({"finish_reason":null,"index":0,"delta":{"content":"lo"}})"),
    });
    const auto answer = ask("/v1/chat/completions", R"({"stream":false})");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.content_type, "application/json");
    EXPECT_EQ(
        json::parse(answer.body),
        json::parse(
            R"({"created":7,"id":"c-1","model":"tiny","object":"chat.completion","choices":[)"
            R"({"finish_reason":"length","index":0,"message":{"role":"assistant",)"
            R"("reasoning_content":"Hm","content":"Hello"}}],)"
            R"("usage":{"completion_tokens":0,"prompt_tokens":0,"total_tokens":0,)"
            R"("prompt_tokens_details":{"cached_tokens":0}},)"
            R"("rbee":{"truncated_by":"deadline"}})"
        )
    );
    EXPECT_TRUE(engine_.requests().back().stream);
}

TEST_F(PartialAnswerTest, AnAnswerThatIsInTimeIsWholeAndSaysNothingOfIt) {
    script_whole({
        chat(R"({"finish_reason":null,"index":0,"delta":{"tool_calls":[{"index":0,"id":"t",)"
             R"("type":"function","function":{"name":"f","arguments":"{\"a\""}}]}})"),
        chat(R"({"finish_reason":null,"index":0,"delta":{"tool_calls":[{"index":0,)"
             R"("function":{"arguments":":1}"}}]}})"),
        chat(R"({"finish_reason":"tool_calls","index":0,"delta":{}})"),
        {.text = {}, .wire = "data: [DONE]\n\n", .token_ids = {}},
    });
    const json::value answer =
        json::parse(ask("/v1/chat/completions", R"({"stream":false})", "20000").body);
    EXPECT_EQ(answer.at("choices").at(0).at("finish_reason"), "tool_calls");
    const json::value& call = answer.at("choices").at(0).at("message").at("tool_calls").at(0);
    EXPECT_EQ(
        call,
        json::parse(R"({"id":"t","type":"function","function":{"name":"f",)"
                    R"("arguments":"{\"a\":1}"}})")
    );
    EXPECT_EQ(answer.at("usage").at("total_tokens"), 8);
    EXPECT_FALSE(answer.as_object().contains("rbee"));
}

class PartialMessageTest : public PartialAnswerTest {
protected:
    static std::vector<engine::Chunk> begun() {
        return {
            wire(
                R"({"type":"message_start","message":{"id":"m","type":"message","role":"assistant",)"
                R"("content":[],"model":"tiny","stop_reason":null,"stop_sequence":null}})",
                "message_start"
            ),
            wire(
                R"({"type":"content_block_start","index":0,)"
                R"("content_block":{"type":"text","text":""}})",
                "content_block_start"
            ),
            wire(
                R"({"type":"content_block_delta","index":0,)"
                R"("delta":{"type":"text_delta","text":"Hel"}})",
                "content_block_delta"
            ),
        };
    }
};

TEST_F(PartialMessageTest, StreamsCloseTheirBlockAndStop) {
    script(begun());
    const auto events = events_of(ask("/v1/messages", R"({"stream":true})").body);
    ASSERT_EQ(events.size(), 6U);
    EXPECT_EQ(events[3].data, R"({"type":"content_block_stop","index":0})");
    EXPECT_EQ(events[4].event, "message_delta");
    const json::value delta = json::parse(events[4].data);
    EXPECT_EQ(delta.at("delta").at("stop_reason"), "max_tokens");
    EXPECT_EQ(delta.at("rbee").at("truncated_by"), "deadline");
    EXPECT_EQ(events[5].event, "message_stop");
}

TEST_F(PartialMessageTest, AMessageInOnePieceHasWhatThereIsButNoHalfToolCall) {
    auto chunks = begun();
    chunks.push_back(wire(
        R"({"type":"content_block_start","index":1,)"
        R"("content_block":{"type":"tool_use","id":"t","name":"f"}})",
        "content_block_start"
    ));
    script(chunks);
    const json::value answer = json::parse(ask("/v1/messages", R"({})").body);
    EXPECT_EQ(answer.at("stop_reason"), "max_tokens");
    EXPECT_EQ(answer.at("content"), json::parse(R"([{"type":"text","text":"Hel"}])"));
    EXPECT_EQ(answer.at("rbee").at("truncated_by"), "deadline");
}

TEST_F(PartialAnswerTest, OwnDialectEndsWithItsEnd) {
    script({word("Hel"), word("lo")});
    const auto events = events_of(ask("/v1/inference", R"({"prompt":"p"})").body);
    ASSERT_EQ(events.size(), 5U);
    EXPECT_THAT(events[3].data, HasSubstr(R"("type":"end")"));
    EXPECT_THAT(
        events[3].data, HasSubstr(R"("stop_reason":"MAX_TOKENS","truncated_by":"deadline")")
    );
    EXPECT_EQ(events[4].data, "[DONE]");
    const json::value whole =
        json::parse(ask("/v1/inference", R"({"prompt":"p","stream":false})").body);
    EXPECT_EQ(whole.at("text"), "Hello");
    EXPECT_EQ(whole.at("truncated_by"), "deadline");
}

TEST_F(PartialAnswerTest, BeforeTheFirstTokenItIsAnError) {
    script({});
    for (const char* path : {"/v1/chat/completions", "/v1/messages"}) {
        const auto answer = ask(path, R"({"stream":true})", "30");
        EXPECT_EQ(answer.status, 504);
        EXPECT_EQ(code_of(answer), "REQUEST_TIMEOUT");
    }
}

TEST_F(PartialAnswerTest, AnotherReasonToStopIsStillAnError) {
    script({chat(R"({"finish_reason":null,"index":0,"delta":{"content":"Hel"}})")});
    auto wanted = request("POST", "/v1/chat/completions", R"({"stream":true})");
    wanted.headers.add("X-Deadline-Policy", "partial");
    wanted.headers.add("X-Correlation-Id", "0b0b0b0b-1111-4222-8333-444444444444");
    const Stream stream = open(std::move(wanted));
    fetch(request("DELETE", "/v1/inference/0b0b0b0b-1111-4222-8333-444444444444"));
    const std::string rest = read_until(*stream, "");
    EXPECT_THAT(rest, HasSubstr(R"("code":"CANCELLED")"));
    EXPECT_THAT(rest, Not(HasSubstr("[DONE]")));
}

TEST_F(PartialAnswerTest, OtherPoliciesAndDialectsThatCannotFollowAreRefused) {
    auto odd = request("POST", "/v1/chat/completions", "{}");
    odd.headers.add("X-Deadline-Policy", "Partial");
    const auto refused = fetch(std::move(odd));
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(code_of(refused), "INVALID_DEADLINE");
    const auto responses = ask("/v1/responses", R"({"input":"hi"})");
    EXPECT_EQ(responses.status, 400);
    EXPECT_EQ(code_of(responses), "INVALID_DEADLINE");
    EXPECT_TRUE(engine_.requests().empty());
}

} // namespace
} // namespace rbee::worker
