#include "rbee/worker/infer_request.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace rbee::worker {
namespace {

namespace json = boost::json;

InferRequestOrErrors parse(const std::string& body) {
    return parse_infer_request(json::parse(body).as_object());
}

InferRequest good(const std::string& body) {
    auto parsed = parse(body);
    EXPECT_TRUE(std::holds_alternative<InferRequest>(parsed)) << body;
    return std::get<InferRequest>(parsed);
}

std::vector<FieldError> bad(const std::string& body) {
    auto parsed = parse(body);
    EXPECT_TRUE(std::holds_alternative<std::vector<FieldError>>(parsed)) << body;
    return std::get<std::vector<FieldError>>(parsed);
}

std::string with(const std::string& member) {
    return R"({"prompt":"p",)" + member + "}";
}

TEST(InferRequest, HasTheDefaultsOfTheSpecification) {
    const InferRequest request = good(R"({"prompt":"p"})");
    EXPECT_EQ(request.job_id, "");
    EXPECT_EQ(request.max_tokens, 100U);
    EXPECT_EQ(request.temperature, 1.0);
    EXPECT_FALSE(request.seed.has_value());
    EXPECT_EQ(request.top_p, 1.0);
    EXPECT_EQ(request.top_k, 0U);
    EXPECT_EQ(request.repetition_penalty, 1.0);
    EXPECT_EQ(request.min_p, 0.0);
    EXPECT_TRUE(request.stop.empty());
    EXPECT_TRUE(request.stream);
}

TEST(InferRequest, AcceptsTheEdgesOfEveryRange) {
    const InferRequest low =
        good(R"({"prompt":"p","job_id":"j","max_tokens":1,"temperature":0,"seed":0,"top_p":0.5,)"
             R"("top_k":1,"repetition_penalty":0,"min_p":0,"stop":["a"],"stream":false})");
    EXPECT_EQ(low.max_tokens, 1U);
    EXPECT_FALSE(low.stream);
    const InferRequest high = good(
        R"({"prompt":"p","max_tokens":2048,"temperature":2.0,"seed":18446744073709551615,)"
        R"("top_p":1,"top_k":4294967295,"repetition_penalty":2,"min_p":1,"stop":["a","b","c","d"]})"
    );
    EXPECT_EQ(high.seed, 18446744073709551615ULL);
    EXPECT_THAT(high.stop, testing::ElementsAre("a", "b", "c", "d"));
    good(R"({"prompt":")" + std::string(32768, 'x') + "\"}");
    std::string wide; // 32768 characters of two bytes
    for (int i = 0; i < 32768; ++i) {
        wide += "ä";
    }
    good(R"({"prompt":")" + wide + "\"}");
}

TEST(InferRequest, NullAndUnknownMembersCountAsAbsent) {
    const InferRequest request = good(with(R"("max_tokens":null,"stop":null,"colour":"red")"));
    EXPECT_EQ(request.max_tokens, 100U);
}

struct Row {
    std::string body;
    std::string field;
    std::string constraint;
};

TEST(InferRequest, RefusesWithFieldAndConstraint) {
    const std::string long_text(101, 's');
    const std::vector<Row> rows = {
        {"{}", "prompt", "required"},
        {R"({"prompt":null})", "prompt", "required"},
        {R"({"prompt":""})", "prompt", "length(1..=32768)"},
        {R"({"prompt":")" + std::string(32769, 'x') + "\"}", "prompt", "length(1..=32768)"},
        {R"({"prompt":["p"]})", "prompt", "type(string)"},
        {with(R"("job_id":"")"), "job_id", "non_empty"},
        {with(R"("job_id":7)"), "job_id", "type(string)"},
        {with(R"("job_id":")" + std::string(257, 'j') + "\""), "job_id", "max_length(256)"},
        {with(R"("max_tokens":0)"), "max_tokens", "range(1..=2048)"},
        {with(R"("max_tokens":2049)"), "max_tokens", "range(1..=2048)"},
        {with(R"("max_tokens":-1)"), "max_tokens", "range(1..=2048)"},
        {with(R"("max_tokens":1.5)"), "max_tokens", "type(integer)"},
        {with(R"("max_tokens":"10")"), "max_tokens", "type(integer)"},
        {with(R"("temperature":-0.1)"), "temperature", "range(0.0..=2.0)"},
        {with(R"("temperature":2.1)"), "temperature", "range(0.0..=2.0)"},
        {with(R"("temperature":"hot")"), "temperature", "type(number)"},
        {with(R"("seed":-1)"), "seed", "range(0..=18446744073709551615)"},
        {with(R"("top_p":1.1)"), "top_p", "range(0.0..=1.0)"},
        {with(R"("top_k":4294967296)"), "top_k", "range(0..=4294967295)"},
        {with(R"("repetition_penalty":2.5)"), "repetition_penalty", "range(0.0..=2.0)"},
        {with(R"("min_p":1.5)"), "min_p", "range(0.0..=1.0)"},
        {with(R"("stop":"a")"), "stop", "type(array)"},
        {with(R"("stop":["a","b","c","d","e"])"), "stop", "max_count(4)"},
        {with(R"("stop":["a",""])"), "stop[1]", "non_empty"},
        {with(R"("stop":[")" + long_text + "\"]"), "stop[0]", "max_length(100)"},
        {with(R"("stop":[1])"), "stop[0]", "type(string)"},
        {with(R"("stream":1)"), "stream", "type(boolean)"},
        {with(R"("top_k":9,"top_p":0.4)"), "top_k", "consistent(top_p)"},
        {with(R"("min_p":0.6,"temperature":0.4)"), "min_p", "consistent(temperature)"},
    };
    for (const Row& row : rows) {
        const auto errors = bad(row.body);
        ASSERT_EQ(errors.size(), 1U) << row.body;
        EXPECT_EQ(errors[0].field, row.field) << row.body;
        EXPECT_EQ(errors[0].constraint, row.constraint) << row.body;
        EXPECT_FALSE(errors[0].message.empty());
    }
}

TEST(InferRequest, TextsHoldNoNullBytesAndIdsNoControlCharacters) {
    EXPECT_EQ(bad(R"({"prompt":"a\u0000b"})").at(0).constraint, "characters");
    EXPECT_EQ(bad(with(R"("job_id":"a\u001b[31m")")).at(0).field, "job_id");
    EXPECT_EQ(good(R"({"prompt":"\u001b[31m\u0007"})").prompt, "\x1b[31m\a"); // the model's to read
}

TEST(InferRequest, TopKOffIsNotTooNarrow) {
    good(with(R"("top_k":0,"top_p":0.4)"));
    good(with(R"("top_k":10,"top_p":0.4)"));
    good(with(R"("top_k":9,"top_p":0.5)"));
}

TEST(InferRequest, ListsEveryBrokenRuleAndNeverText) {
    const auto errors = bad(
        R"({"prompt":{"secret":"words"},"max_tokens":9999,"temperature":3,"stop":["secret",""]})"
    );
    const std::string text = json::serialize(to_details(errors));
    const std::string expected =
        R"~({"errors":[{"field":"prompt","constraint":"type(string)",)~"
        R"~("message":"prompt must be a string"},)~"
        R"~({"field":"max_tokens","constraint":"range(1..=2048)",)~"
        R"~("message":"max_tokens must be between 1 and 2048","value":9999},)~"
        R"~({"field":"temperature","constraint":"range(0.0..=2.0)",)~"
        R"~("message":"temperature must be between 0.0 and 2.0","value":3},)~"
        R"~({"field":"stop[1]","constraint":"non_empty","message":"stop[1] must not be empty"}]})~";
    EXPECT_EQ(text, expected);
    const Error error = to_error(errors);
    EXPECT_EQ(error.code, Errc::invalid_argument);
    EXPECT_THAT(
        error.what, testing::StartsWith("4 fields are not valid: prompt must be a string; ")
    );
}

TEST(InferRequest, TranslatesForTheEngine) {
    const InferRequest request =
        good(R"({"prompt":"say \"hi\"","max_tokens":7,"temperature":0.5,"top_p":0.9,"top_k":40,)"
             R"("repetition_penalty":1.1,"min_p":0.05,"stop":["\n"]})");
    const json::object body = json::parse(to_engine_body(request, 42)).as_object();
    EXPECT_EQ(body.at("prompt").as_string(), "say \"hi\"");
    EXPECT_EQ(body.at("n_predict").to_number<int>(), 7);
    EXPECT_EQ(body.at("temperature").as_double(), 0.5);
    EXPECT_EQ(body.at("seed").to_number<int>(), 42);
    EXPECT_EQ(body.at("top_p").as_double(), 0.9);
    EXPECT_EQ(body.at("top_k").to_number<int>(), 40);
    EXPECT_EQ(body.at("repeat_penalty").as_double(), 1.1);
    EXPECT_EQ(body.at("min_p").as_double(), 0.05);
    EXPECT_EQ(body.at("stop").as_array().size(), 1U);
}

TEST(InferRequest, APenaltyOfZeroIsOff) {
    const json::object body =
        json::parse(to_engine_body(good(with(R"("repetition_penalty":0)")), 1)).as_object();
    EXPECT_EQ(body.at("repeat_penalty").as_double(), 1.0);
}

TEST(InferRequest, SeedsNeverMeanRandom) {
    EXPECT_EQ(to_engine_seed(0), 0U);
    EXPECT_EQ(to_engine_seed(42), 42U);
    EXPECT_EQ(to_engine_seed(0xFFFFFFFEULL), 0xFFFFFFFEU);
    EXPECT_EQ(to_engine_seed(0xFFFFFFFFULL), 0xFFFFFFFEU);
    EXPECT_NE(to_engine_seed(0x1'0000'0000ULL), to_engine_seed(0));
}

} // namespace
} // namespace rbee::worker
