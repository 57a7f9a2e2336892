#include "rbee/api/error_body.hpp"
#include "rbee/api/json.hpp"
#include "rbee/api/route_fields.hpp"
#include "rbee/api/types.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace rbee::api {
namespace {

namespace json = boost::json;

TEST(ErrorBody, HasTheOneShapeAndIsAnOpenAiError) {
    const Error error{Errc::busy, "all 4 slots are taken", {}};
    const auto response = error_response(error, "id-1", {{"slots_total", 4}});
    EXPECT_EQ(response.status, 503);
    EXPECT_EQ(response.headers.find("Retry-After"), "1");
    const auto body = json::parse(response.body).at("error");
    EXPECT_EQ(body.at("message"), "all 4 slots are taken");
    EXPECT_EQ(body.at("code"), "ALL_SLOTS_BUSY");
    EXPECT_EQ(body.at("type"), "overloaded_error");
    EXPECT_EQ(body.at("correlation_id"), "id-1");
    EXPECT_EQ(body.at("retriable"), true);
    EXPECT_EQ(body.at("details").at("slots_total"), 4);
}

struct Row {
    Errc code;
    std::string wire_code;
    int status;
};

class Statuses : public testing::TestWithParam<Row> {};

TEST_P(Statuses, FollowTheKindAndTheNarrowerCode) {
    EXPECT_EQ(status_of({GetParam().code, "", GetParam().wire_code}), GetParam().status);
}

INSTANTIATE_TEST_SUITE_P(
    ErrorBody,
    Statuses,
    testing::Values(
        Row{Errc::invalid_argument, "", 400},
        Row{Errc::unauthenticated, "", 401},
        Row{Errc::forbidden, "", 403},
        Row{Errc::not_found, "", 404},
        Row{Errc::not_found, "METHOD_NOT_ALLOWED", 405},
        Row{Errc::conflict, "", 409},
        Row{Errc::too_large, "", 413},
        Row{Errc::too_large, "HEADERS_TOO_LARGE", 431},
        Row{Errc::busy, "", 503},
        Row{Errc::resources, "", 503},
        Row{Errc::resources, "INSUFFICIENT_DISK", 507},
        Row{Errc::timeout, "", 504},
        Row{Errc::timeout, "HEAD_TIMEOUT", 408},
        Row{Errc::internal, "", 500}
    )
);

TEST(ErrorBody, SurvivesAHop) {
    const Error error{Errc::resources, "needs 6000 MB, 4000 MB are free", "INSUFFICIENT_RAM"};
    const auto response = error_response(error, "id", {{"required_mb", 6000}});
    const Error again = error_from_response(response.status, response.body);
    EXPECT_EQ(again.code, error.code);
    EXPECT_EQ(again.what, error.what);
    EXPECT_EQ(wire_code_of(again), "INSUFFICIENT_RAM");
    const auto passed_on = error_object(again.within("spawn"), "id", {{"hive", "h1"}});
    const auto& details = passed_on.at("error").as_object().at("details").as_object();
    EXPECT_EQ(details.at("required_mb"), 6000);
    EXPECT_EQ(details.at("hive"), "h1");
    EXPECT_EQ(error_from_response(502, "<html>").code, Errc::io);
}

TEST(ErrorFrame, EachDialectHasItsOwn) {
    const Error error{Errc::unavailable, "worker died", "WORKER_FAILED"};
    const auto openai = error_frame(StreamDialect::openai, error, "id");
    EXPECT_TRUE(openai.starts_with("data: {\"error\":{"));
    EXPECT_FALSE(openai.contains("[DONE]"));
    EXPECT_TRUE(error_frame(StreamDialect::anthropic, error, "id").starts_with("event: error\n"));
    EXPECT_TRUE(error_frame(StreamDialect::responses, error, "id").contains("\"type\":\"error\""));
    EXPECT_TRUE(error_frame(StreamDialect::rbee, error, "id").ends_with("data: [DONE]\n\n"));
}

TEST(RouteFields, FindsModelAndStreamWhereverTheyAre) {
    std::string body =
        R"({"messages":[{"role":"user","content":"\"model\":\"no\""}],"stream":true,"model":"a\u0062"})";
    const std::string before = body;
    const auto fields = route_fields(body);
    ASSERT_TRUE(fields.has_value()) << fields.error().what;
    EXPECT_EQ(fields->model, "ab");
    EXPECT_TRUE(fields->stream);
    EXPECT_EQ(body, before);
}

TEST(RouteFields, AbsentFieldsHaveDefaults) {
    std::string body = R"({"stream":null,"job_id":"j1"})";
    const auto fields = route_fields(body);
    ASSERT_TRUE(fields.has_value());
    EXPECT_EQ(fields->model, "");
    EXPECT_EQ(fields->job_id, "j1");
    EXPECT_FALSE(fields->stream);
}

TEST(RouteFields, RefusesOtherShapes) {
    for (const char* text :
         {"",
          "[]",
          "null",
          "{",
          R"({"model":1})",
          R"({"stream":"yes"})",
          R"({"model":"x)",
          "{\"a\":}"}) {
        std::string body = text;
        const auto fields = route_fields(body);
        EXPECT_FALSE(fields.has_value()) << text;
    }
}

RC_GTEST_PROP(RouteFields, NoiseIsNeverACrash, (std::string noise)) {
    (void)route_fields(noise).has_value();
    std::string wrapped = "{\"prompt\":\"" + noise + "\",\"model\":\"m\"}";
    (void)route_fields(wrapped).has_value();
}

TEST(Json, ErrorsNameTheFieldAndNotTheValue) {
    const auto object = parse_object(R"({"port":"secret","name":5})");
    ASSERT_TRUE(object.has_value());
    EXPECT_EQ(get_unsigned(*object, "port").error().what, "port must be an integer of at least 0");
    EXPECT_EQ(get_string(*object, "name").error().what, "name must be a string");
    EXPECT_EQ(require_string(*object, "missing").error().what, "missing is required");
    EXPECT_FALSE(parse_object("[1]").has_value());
    EXPECT_FALSE(parse_object(std::string(1000, '[')).has_value());
}

TEST(Types, WhatIsWrittenIsReadBack) {
    WorkerInfo worker;
    worker.id = "worker-1";
    worker.url = "http://127.0.0.1:8081";
    worker.model_ref = "file:/m/a.gguf";
    worker.model = "a";
    worker.backend = "cpu";
    worker.state = domain::WorkerState::busy;
    worker.slots_total = 4;
    worker.slots_available = 1;
    worker.pid = 42;
    HiveReport report;
    report.hive_id = "node-1";
    report.url = "http://127.0.0.1:9200";
    report.workers = {worker};
    report.models = {{.id = "a", .ref = "file:/m/a.gguf", .size_bytes = 7, .state = "ready"}};
    report.backends = {{.backend = "cpu", .name = "x"}};
    report.ram_total_bytes = UINT64_MAX;

    const auto again = report_from_json(parse_object(json::serialize(to_json(report))).value());
    ASSERT_TRUE(again.has_value()) << again.error().what;
    EXPECT_EQ(json::serialize(to_json(*again)), json::serialize(to_json(report)));
    EXPECT_EQ(again->workers.at(0).state, domain::WorkerState::busy);
    EXPECT_EQ(again->workers.at(0).pid, 42);
}

TEST(Types, WrongFieldsAreNamed) {
    EXPECT_EQ(spawn_from_json({}).error().what, "model_ref is required");
    EXPECT_EQ(
        spawn_from_json({{"model_ref", "a"}, {"device", -1}}).error().what,
        "device must be an integer of at least 0"
    );
    EXPECT_EQ(
        spawn_from_json({{"model_ref", "a"}, {"engine_args", {1}}}).error().what,
        "engine_args: elements must be strings"
    );
    EXPECT_TRUE(report_from_json({{"hive_id", "a"}, {"url", "u"}, {"workers", {"x"}}})
                    .error()
                    .what.starts_with("workers: "));
}

} // namespace
} // namespace rbee::api
