#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/llama_fixture.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "json.h"

namespace rbee::engine::test {
namespace {

using Json = common_json;

/// The JSON payloads of a server-sent event stream; `[DONE]` is checked to be the last one.
std::vector<Json> events_of(const std::string& wire, bool done_expected) {
    std::vector<Json> events;
    bool done = false;
    std::size_t at = 0;
    while (at < wire.size()) {
        const std::size_t stop = wire.find("\n\n", at);
        EXPECT_NE(stop, std::string::npos) << "event without an end";
        const std::string event = wire.substr(at, stop - at);
        at = stop + 2;
        EXPECT_FALSE(done) << "event after [DONE]";
        const std::size_t data = event.find("data: ");
        EXPECT_NE(data, std::string::npos) << event;
        const std::string payload = event.substr(data + 6);
        if (payload == "[DONE]") {
            done = true;
        } else {
            events.push_back(Json::parse(payload));
        }
    }
    EXPECT_EQ(done, done_expected);
    return events;
}

/// All text deltas of a chat stream for one choice.
std::string chat_text(const std::vector<Json>& events, int choice = 0) {
    std::string text;
    for (const Json& event : events) {
        for (std::size_t i = 0; i < event.at("choices").size(); ++i) {
            const Json& one = event.at("choices").at(i);
            if (one.at("index").get<int>() == choice && one.at("delta").contains("content") &&
                one.at("delta").at("content").is_string()) {
                text += one.at("delta").at("content").get<std::string>();
            }
        }
    }
    return text;
}

const std::string chat_body = R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":200})";
const std::string fox = "The quick brown fox jumps over the lazy dog.";

TEST_F(EngineTest, InferStreamsTheExactText) {
    load(scripted_model(fox));
    const auto sink = infer(R"({"prompt":"say it","n_predict":200})");
    const End end = sink->wait_end();
    EXPECT_EQ(end.stop, StopReason::eos);
    EXPECT_EQ(sink->text(), fox);
    EXPECT_TRUE(sink->wire().empty());
    EXPECT_EQ(sink->ids().size(), end.usage.completion_tokens);
    EXPECT_GE(end.usage.completion_tokens, fox.size());
    EXPECT_GT(end.usage.prompt_tokens, 0U);
    EXPECT_GT(end.usage.prompt_ms, 0.0);
}

TEST_F(EngineTest, InferCutsTextAtCharacterBoundaries) {
    const std::string text = "na\xC3\xAFve \xE2\x82\xAC 12 \xF0\x9F\x90\x9D end";
    load(scripted_model(text));
    const auto sink = infer(R"({"prompt":"x","n_predict":100})");
    sink->wait_end();
    EXPECT_EQ(sink->text(), text);
}

TEST_F(EngineTest, InferAtOnceGivesOneChunk) {
    load(scripted_model(fox));
    const auto sink = start(Dialect::infer, R"({"prompt":"x","n_predict":200})", false);
    EXPECT_EQ(sink->wait_end().stop, StopReason::eos);
    EXPECT_EQ(sink->chunks(), 1U);
    EXPECT_EQ(sink->text(), fox);
    EXPECT_EQ(Json::parse(sink->wire()).at("content").get<std::string>(), fox);
    EXPECT_GE(sink->ids().size(), fox.size());
}

TEST_F(EngineTest, MaxTokensStops) {
    load(counting_model());
    const auto sink = infer(R"({"prompt":"x","n_predict":7})");
    const End end = sink->wait_end();
    EXPECT_EQ(end.stop, StopReason::max_tokens);
    EXPECT_EQ(end.usage.completion_tokens, 7U);
    EXPECT_EQ(sink->text(), counted(7));
}

TEST_F(EngineTest, StopSequenceStopsAndIsNamed) {
    load(scripted_model(fox));
    const auto sink = infer(R"({"prompt":"x","n_predict":200,"stop":["cat"," fox"]})");
    const End end = sink->wait_end();
    EXPECT_EQ(end.stop, StopReason::stop_sequence);
    EXPECT_EQ(end.stop_sequence, " fox");
    EXPECT_EQ(sink->text(), "The quick brown");
}

TEST_F(EngineTest, SeedIsChosenWhenMissing) {
    load(make_model({"--kind", "random"}));
    const End one = infer(R"({"prompt":"x","n_predict":8})")->wait_end();
    const End two = infer(R"({"prompt":"x","n_predict":8,"seed":-1})")->wait_end();
    EXPECT_NE(one.seed, two.seed);
    EXPECT_EQ(infer(R"({"prompt":"x","n_predict":2,"seed":42})")->wait_end().seed, 42U);

    const auto first = infer(R"({"prompt":"x","n_predict":20,"cache_prompt":false})");
    const std::string seed = std::to_string(first->wait_end().seed);
    const auto again =
        infer(R"({"prompt":"x","n_predict":20,"cache_prompt":false,"seed":)" + seed + "}");
    again->wait_end();
    EXPECT_EQ(first->text(), again->text());
}

TEST_F(EngineTest, ChatStreamsEvents) {
    load(scripted_model(fox));
    const auto sink = start(Dialect::chat, chat_body, true);
    EXPECT_EQ(sink->wait_end().stop, StopReason::eos);
    const auto events = events_of(sink->wire(), true);
    EXPECT_EQ(chat_text(events), fox);
    EXPECT_EQ(events.front().at("model").get<std::string>(), "tiny");
    EXPECT_EQ(events.back().at("choices").at(0).at("finish_reason").get<std::string>(), "stop");
}

TEST_F(EngineTest, ChatAtOnce) {
    load(scripted_model(fox));
    const auto sink = start(Dialect::chat, chat_body, false);
    const End end = sink->wait_end();
    ASSERT_EQ(sink->chunks(), 1U);
    const Json answer = Json::parse(sink->wire());
    EXPECT_EQ(answer.at("choices").at(0).at("message").at("content").get<std::string>(), fox);
    EXPECT_EQ(
        answer.at("usage").at("completion_tokens").get<int>(),
        static_cast<int>(end.usage.completion_tokens)
    );
}

TEST_F(EngineTest, TwoChoices) {
    load(scripted_model(fox));
    const std::string body =
        R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":200,"n":2})";
    const auto whole = start(Dialect::chat, body, false);
    const End end = whole->wait_end();
    const Json answer = Json::parse(whole->wire());
    ASSERT_EQ(answer.at("choices").size(), 2U);
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(
            answer.at("choices")
                .at(static_cast<std::size_t>(i))
                .at("message")
                .at("content")
                .get<std::string>(),
            fox
        );
    }
    EXPECT_GE(end.usage.completion_tokens, 2 * fox.size());

    const auto streamed = start(Dialect::chat, body, true);
    streamed->wait_end();
    const auto events = events_of(streamed->wire(), true);
    EXPECT_EQ(chat_text(events, 0), fox);
    EXPECT_EQ(chat_text(events, 1), fox);
}

TEST_F(EngineTest, CompletionsWithSeveralPrompts) {
    load(scripted_model(fox));
    const auto sink =
        start(Dialect::completions, R"({"prompt":["a","b","c"],"max_tokens":200})", false);
    sink->wait_end();
    const Json answer = Json::parse(sink->wire());
    ASSERT_EQ(answer.at("choices").size(), 3U);
    EXPECT_EQ(answer.at("choices").at(2).at("text").get<std::string>(), fox);
    const auto streamed = start(Dialect::completions, R"({"prompt":"a","max_tokens":3})", true);
    streamed->wait_end();
    EXPECT_GE(events_of(streamed->wire(), true).size(), 3U);
}

TEST_F(EngineTest, ResponsesAndMessages) {
    load(scripted_model(fox));
    const auto responses = start(Dialect::responses, R"({"input":"hi"})", true);
    responses->wait_end();
    const auto response_events = events_of(responses->wire(), false);
    ASSERT_FALSE(response_events.empty());
    EXPECT_EQ(response_events.front().at("type").get<std::string>(), "response.created");
    EXPECT_EQ(response_events.back().at("type").get<std::string>(), "response.completed");

    const auto messages = start(
        Dialect::messages, R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":200})", true
    );
    messages->wait_end();
    std::string text;
    const auto message_events = events_of(messages->wire(), false);
    for (const Json& event : message_events) {
        if (event.at("type").get<std::string>() == "content_block_delta") {
            text += event.at("delta").at("text").get<std::string>();
        }
    }
    EXPECT_EQ(text, fox);
    EXPECT_EQ(message_events.back().at("type").get<std::string>(), "message_stop");

    const auto whole = start(
        Dialect::messages, R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":99})", false
    );
    whole->wait_end();
    EXPECT_EQ(Json::parse(whole->wire()).at("content").at(0).at("text").get<std::string>(), fox);
}

TEST_F(EngineTest, EightStreamsOnFourSlots) {
    load(counting_model());
    std::vector<std::shared_ptr<Recorder>> sinks;
    for (int i = 0; i < 8; ++i) {
        const std::string prompt(static_cast<std::size_t>(1 + i * 20), 'x');
        sinks.push_back(infer(R"({"n_predict":300,"prompt":")" + prompt + "\"}"));
    }
    for (const auto& sink : sinks) {
        EXPECT_EQ(sink->wait_end().usage.completion_tokens, 300U);
        EXPECT_EQ(sink->text(), counted(300));
    }
    wait_stats([](const Stats& stats) { return stats.slots_busy == 0; });
    const Stats stats = engine_->stats();
    EXPECT_EQ(stats.slots_total, 4U);
    EXPECT_EQ(stats.requests_waiting, 0U);
    EXPECT_EQ(stats.generated_tokens_total, 2400U);
    EXPECT_GT(stats.prompt_tokens_total, 0U);
    EXPECT_GE(stats.decode_steps_total, 600U);
    EXPECT_FALSE(stats.failed);
}

TEST_F(EngineTest, JsonSchemaIsKept) {
    load(make_model({"--kind", "random"}));
    const auto sink = infer(
        R"({"prompt":"x","n_predict":400,"json_schema":{"type":"object","properties":
            {"a":{"type":"boolean"}},"required":["a"],"additionalProperties":false}})"
    );
    const End end = sink->wait_end();
    ASSERT_NE(end.stop, StopReason::error) << end.error.what;
    const Json value = Json::parse(sink->text());
    EXPECT_TRUE(value.at("a").is_boolean());
    const auto choice =
        infer(R"({"prompt":"x","n_predict":9,"grammar":"root ::= \"yes\" | \"no\""})");
    choice->wait_end();
    EXPECT_TRUE(choice->text() == "yes" || choice->text() == "no") << choice->text();
}

TEST_F(EngineTest, ToolCallIsParsed) {
    load(make_model(
        {"--kind",
         "scripted",
         "--tools",
         "--text",
         R"(<tool_call>{"name":"get_weather","arguments":{"city":"Bonn"}}</tool_call>)"}
    ));
    const auto sink = start(
        Dialect::chat,
        R"({"messages":[{"role":"user","content":"weather?"}],"max_tokens":200,"tools":[
            {"type":"function","function":{"name":"get_weather","parameters":{"type":"object",
             "properties":{"city":{"type":"string"}},"required":["city"]}}}]})",
        false
    );
    const End end = sink->wait_end();
    ASSERT_NE(end.stop, StopReason::error) << end.error.what;
    const Json choice = Json::parse(sink->wire()).at("choices").at(0);
    EXPECT_EQ(choice.at("finish_reason").get<std::string>(), "tool_calls");
    const Json& function = choice.at("message").at("tool_calls").at(0).at("function");
    EXPECT_EQ(function.at("name").get<std::string>(), "get_weather");
    EXPECT_EQ(
        Json::parse(function.at("arguments").get<std::string>()).at("city").get<std::string>(),
        "Bonn"
    );
}

TEST_F(EngineTest, InternalFieldsOfLlamaCppAreIgnored) {
    load(scripted_model(fox));
    for (const char* field :
         {R"("grammar_triggers":[{"type":77,"value":"x"}])",
          R"("grammar":"root ::= \"a\"","grammar_lazy":true,"grammar_triggers":[{"type":9,"value":""}])",
          R"("chat_format":12345)",
          R"("chat_parser":"nonsense")",
          R"("preserved_tokens":3)",
          R"("reasoning_budget_start_tag":"","reasoning_budget_end_tags":[""],"reasoning_control":true)",
          R"("backend_sampling":true)",
          R"("repeat_last_n":2147483647,"repeat_penalty":1.1)",
          R"("dry_penalty_last_n":2147483647,"dry_multiplier":0.1)"}) {
        const std::string tail = std::string(",\"n_predict\":3,") + field + "}";
        const auto plain = infer(R"({"prompt":"x")" + tail);
        EXPECT_NE(plain->wait_end().stop, StopReason::error) << field;
        const auto chat =
            start(Dialect::chat, R"({"messages":[{"role":"user","content":"hi"}])" + tail, false);
        EXPECT_NE(chat->wait_end().stop, StopReason::error) << field;
    }
}

TEST_F(EngineTest, WrongBodiesAreRefused) {
    load(scripted_model(fox));
    const std::string deep = R"({"prompt":)" + std::string(100'000, '[') + "}";
    struct Case {
        Dialect dialect;
        std::string body;
    };
    const std::vector<Case> cases{
        {Dialect::infer, ""},
        {Dialect::infer, "{"},
        {Dialect::infer, "[]"},
        {Dialect::infer, "3"},
        {Dialect::infer, "{}"},
        {Dialect::infer, deep},
        {Dialect::infer, R"({"prompt":[]})"},
        {Dialect::infer, R"({"prompt":["a","b"]})"},
        {Dialect::infer, R"({"prompt":{"no":1}})"},
        {Dialect::infer, R"({"prompt":[1,99999999]})"},
        {Dialect::infer, R"({"prompt":"x","n":2})"},
        {Dialect::infer, R"({"prompt":"x","n_predict":"many"})"},
        {Dialect::infer, R"({"prompt":"x","grammar":"root ::= ("})"},
        {Dialect::infer, R"({"prompt":"x","grammar":"%llguidance {}"})"},
        {Dialect::chat, R"({"messages":[{"role":"user","content":"x"}],
            "grammar":"%llguidance {}"})"},
        {Dialect::infer, R"({"prompt":"x","json_schema":{"$ref":"#/nowhere"}})"},
        {Dialect::infer, R"({"prompt":")" + std::string(9000, 'x') + "\"}"},
        {Dialect::chat, R"({"prompt":"x"})"},
        {Dialect::chat, R"({"messages":"x"})"},
        {Dialect::chat, R"({"messages":[{"role":"user","content":"x"}],"n":99})"},
        {Dialect::chat, R"({"messages":[{"role":"user","content":[{"type":"image_url",
            "image_url":{"url":"data:image/png;base64,AAAA"}}]}]})"},
        {Dialect::completions, R"({"n":1})"},
        {Dialect::responses, R"({})"},
        {Dialect::messages, R"({"max_tokens":3})"},
    };
    for (const Case& one : cases) {
        for (const bool stream : {true, false}) {
            const auto sink = start(one.dialect, one.body, stream);
            const End end = sink->wait_end();
            EXPECT_EQ(end.stop, StopReason::error) << one.body.substr(0, 80);
            EXPECT_EQ(end.error.code, Errc::invalid_argument)
                << one.body.substr(0, 80) << ": " << end.error.what;
            EXPECT_FALSE(end.error.what.empty());
            EXPECT_EQ(sink->chunks(), 0U);
        }
    }
    const auto good = infer(R"({"prompt":"x","n_predict":200})");
    good->wait_end();
    EXPECT_EQ(good->text(), fox);
}

} // namespace
} // namespace rbee::engine::test
