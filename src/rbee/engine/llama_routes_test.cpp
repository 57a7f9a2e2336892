#include "rbee/base/cancel.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/llama_fixture.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "json.h"

namespace rbee::engine::test {
namespace {

using Json = common_json;

class RoutesTest : public EngineTest {
protected:
    Json ok(Route route, const std::string& body = {}, const std::string& query = {}) {
        const Reply reply = call(route, body, query);
        EXPECT_EQ(reply.status, 200) << reply.body;
        EXPECT_EQ(reply.content_type.rfind("application/json", 0), 0U) << reply.content_type;
        return Json::parse(reply.body);
    }
};

TEST_F(RoutesTest, TokensThereAndBack) {
    load(scripted_model("hello"));
    const Json tokens = ok(Route::tokenize, R"({"content":"good day"})").at("tokens");
    EXPECT_EQ(tokens.size(), 8U);
    const Json text = ok(Route::detokenize, R"({"tokens":)" + tokens.dump() + "}");
    EXPECT_EQ(text.at("content").get<std::string>(), "good day");
    const Json counted =
        ok(Route::count_tokens, R"({"messages":[{"role":"user","content":"good day"}]})");
    EXPECT_GE(counted.at("input_tokens").get<int>(), 8);
    const Json prompt =
        ok(Route::apply_template, R"({"messages":[{"role":"user","content":"good day"}]})");
    EXPECT_NE(prompt.at("prompt").get<std::string>().find("good day"), std::string::npos);
}

TEST_F(RoutesTest, Embeddings) {
    const Arguments flags{"--embeddings", "--pooling", "mean"};
    const auto info = try_load(make_model({"--kind", "random"}), 2, flags);
    ASSERT_TRUE(info) << info.error().what;
    EXPECT_TRUE(info->embeddings);
    const Json answer = ok(Route::embeddings, R"({"input":["one","two"]})");
    ASSERT_EQ(answer.at("data").size(), 2U);
    EXPECT_EQ(answer.at("data").at(0).at("embedding").size(), 64U);
    EXPECT_EQ(answer.at("model").get<std::string>(), "tiny");
}

TEST_F(RoutesTest, AboutItself) {
    load(scripted_model("hello"), 3);
    EXPECT_EQ(ok(Route::models).at("data").at(0).at("id").get<std::string>(), "tiny");
    EXPECT_EQ(ok(Route::props).at("total_slots").get<int>(), 3);
    EXPECT_EQ(ok(Route::slots).size(), 3U);
    EXPECT_EQ(ok(Route::slots, {}, "fail_on_no_slot=1&odd=%zz&&=").size(), 3U);
    EXPECT_EQ(ok(Route::lora_adapters_get).size(), 0U);
    ok(Route::lora_adapters_set, "[]");
}

TEST_F(RoutesTest, ProblemsAreAnswers) {
    load(scripted_model("hello"));
    EXPECT_EQ(call(Route::embeddings, R"({"input":"x"})").status, 501);
    EXPECT_EQ(call(Route::rerank, R"({"query":"x","documents":["y"]})").status, 501);
    EXPECT_EQ(call(Route::infill, R"({"input_prefix":"x","input_suffix":"y"})").status, 501);
    EXPECT_EQ(call(Route::tokenize, "{").status, 400);
    EXPECT_EQ(call(Route::tokenize, std::string(100'000, '[')).status, 400);
    EXPECT_EQ(call(Route::apply_template, "{}").status, 400);
    EXPECT_GE(call(Route::detokenize, R"({"tokens":"no"})").status, 400);
    EXPECT_GE(call(Route::lora_adapters_set, "{}").status, 400);
    const Json error = Json::parse(call(Route::tokenize, "{").body).at("error");
    EXPECT_EQ(error.at("type").get<std::string>(), "invalid_request_error");
}

TEST_F(RoutesTest, AnsweredWhileAllSlotsAreBusyAndMoreWait) {
    load(counting_model(), 1, {"--context-shift"});
    std::vector<std::shared_ptr<Recorder>> sinks;
    for (int i = 0; i < 12; ++i) {
        sinks.push_back(infer(R"({"prompt":"x","n_predict":-1})", std::to_string(i)));
    }
    // Which one got the slot is open: bodies are read at the same time.
    wait_stats([](const Stats& stats) {
        return stats.slots_busy == 1 && stats.requests_waiting == 11;
    });
    EXPECT_EQ(ok(Route::tokenize, R"({"content":"abc"})").at("tokens").size(), 3U);
    EXPECT_EQ(ok(Route::slots).size(), 1U);
    EXPECT_EQ(call(Route::slots, {}, "fail_on_no_slot=1").status, 503);
    for (int i = 0; i < 12; ++i) {
        engine_->cancel(std::to_string(i), CancelReason::requested);
    }
    for (const auto& sink : sinks) {
        EXPECT_EQ(sink->wait_end().stop, StopReason::cancelled);
    }
}

TEST_F(RoutesTest, ManyAtOnce) {
    load(scripted_model("hello"));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([this] {
            for (int i = 0; i < 50; ++i) {
                EXPECT_EQ(ok(Route::tokenize, R"({"content":"abc"})").at("tokens").size(), 3U);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

} // namespace
} // namespace rbee::engine::test
