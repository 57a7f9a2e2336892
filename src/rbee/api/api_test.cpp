#include "rbee/api/error_body.hpp"
#include "rbee/api/json.hpp"
#include "rbee/api/route_fields.hpp"
#include "rbee/api/types.hpp"
#include "rbee/domain/keep_alive.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace rbee::api {
namespace {

namespace json = boost::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

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

TEST(RouteFields, BoundsWhatRoutingUses) {
    const auto refused = [](std::string body) {
        const auto fields = route_fields(body);
        return fields ? ""
                      : fields.error().fields.at(0).field + " " +
                            fields.error().fields.at(0).constraint;
    };
    EXPECT_EQ(refused(R"({"model":"org/name","max_tokens":100,"n_predict":-1})"), "");
    EXPECT_EQ(refused(R"({"max_tokens":null,"max_completion_tokens":2147483647})"), "");
    EXPECT_EQ(refused(R"({"model":"a\nb"})"), "model characters");
    EXPECT_EQ(refused(R"({"model":")" + std::string(513, 'a') + R"("})"), "model max_length(512)");
    EXPECT_EQ(refused(R"({"job_id":"a\u001b"})"), "job_id characters");
    EXPECT_EQ(refused(R"({"max_tokens":-2})"), "max_tokens range(-1..=2147483647)");
    EXPECT_EQ(refused(R"({"max_tokens":2147483648})"), "max_tokens range(-1..=2147483647)");
    EXPECT_EQ(refused(R"({"max_output_tokens":"many"})"), "max_output_tokens type(integer)");
    EXPECT_EQ(refused(R"({"n_predict":1.5})"), "n_predict type(integer)");
}

TEST(RouteFields, ReadsHowLongAWorkerIsKept) {
    using namespace std::chrono_literals;
    const auto kept = [](std::string body) { return route_fields(body)->keep_alive; };
    EXPECT_EQ(kept(R"({"keep_alive":"10m"})"), 10min);
    EXPECT_EQ(kept(R"({"keep_alive":30,"model":"x"})"), 30s);
    EXPECT_EQ(kept(R"({"keep_alive":0})"), 0s);
    EXPECT_EQ(kept(R"({"keep_alive":-1})"), domain::keep_for_ever);
    EXPECT_EQ(kept(R"({"keep_alive":null})"), std::nullopt);
    EXPECT_EQ(kept("{}"), std::nullopt);
    for (const char* wrong : {"true", "1.5", "\"soon\"", "[5]", "{}", "1e9", "99999999999"}) {
        std::string body = std::string(R"({"keep_alive":)") + wrong + "}";
        const auto fields = route_fields(body);
        ASSERT_FALSE(fields.has_value()) << wrong;
        EXPECT_EQ(fields.error().fields.at(0).field, "keep_alive");
    }
}

TEST(RouteFields, FindsNullBytesInAnyText) {
    const auto accepted = [](std::string body) { return route_fields(body).has_value(); };
    EXPECT_FALSE(accepted(R"({"prompt":"a\u0000b"})"));
    EXPECT_FALSE(accepted(R"({"messages":[{"content":"\\\u0000"}]})"));
    EXPECT_TRUE(accepted(R"({"prompt":"a\\u0000b"})")); // a backslash and letters
    EXPECT_TRUE(accepted(R"({"prompt":"\u0001"})"));
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
        "engine_args: must be a string"
    );
    EXPECT_TRUE(report_from_json({{"hive_id", "a"}, {"url", "http://a:1"}, {"workers", {"x"}}})
                    .error()
                    .what.starts_with("workers: "));
}

std::vector<std::string> fields_of(const Error& error) {
    std::vector<std::string> out;
    for (const FieldError& field : error.fields) {
        out.push_back(field.field + " " + field.constraint);
    }
    return out;
}

TEST(Types, AllWrongFieldsAreListedAndNoneOfTheValues) {
    const json::object worker{
        {"id", "a_PAYLOAD"}, {"model_ref", "x\nPAYLOAD"}, {"started_at", "PAYLOAD"}
    };
    const auto report = report_from_json(
        {{"hive_id", "PAYLOAD@"},
         {"url", "ftp://PAYLOAD"},
         {"ram_total_bytes", -1},
         {"workers", json::array{worker}}}
    );
    ASSERT_FALSE(report.has_value());
    EXPECT_THAT(
        fields_of(report.error()),
        ElementsAre(
            "hive_id characters",
            "url format",
            "workers[0].id characters",
            "workers[0].model_ref characters",
            "workers[0].started_at rfc3339",
            "ram_total_bytes type(unsigned)"
        )
    );
    EXPECT_TRUE(report.error().what.starts_with("Invalid node name: "));
    const auto body = json::serialize(error_object(report.error(), "id"));
    EXPECT_THAT(body, HasSubstr(R"("param":"hive_id")"));
    EXPECT_THAT(body, HasSubstr(R"("details":{"errors":[{"field":"hive_id","constraint":)"));
    EXPECT_THAT(body, Not(HasSubstr("PAYLOAD")));
}

TEST(Types, SpawnChecksEveryField) {
    const auto refused = [](json::object body) {
        body.emplace("model_ref", "tiny");
        const auto parsed = spawn_from_json(body);
        return parsed ? "" : parsed.error().fields.at(0).field + ": " + parsed.error().what;
    };
    EXPECT_EQ(refused({}), "");
    EXPECT_EQ(refused({{"slots", 256}, {"device", 5}, {"node", "a.b"}, {"backend", "cuda"}}), "");
    EXPECT_THAT(refused({{"model_ref", "org/repo"}}), HasSubstr("reference format"));
    EXPECT_THAT(refused({{"backend", "rocm"}}), HasSubstr("[cpu, cuda, metal]"));
    EXPECT_THAT(refused({{"slots", 0}}), HasSubstr("slots must be between 1 and 256"));
    EXPECT_THAT(refused({{"device", 1.5}}), HasSubstr("integer of at least 0"));
    EXPECT_THAT(refused({{"device", 1ULL << 40U}}), HasSubstr("between 0 and 4294967295"));
    EXPECT_THAT(refused({{"node", "a@b"}}), HasSubstr("Invalid node name"));
    EXPECT_THAT(refused({{"engine_args", {"a", "\x1b"}}}), HasSubstr("engine_args[1]"));
    EXPECT_THAT(refused({{"engine_args", json::array(65, "x")}}), HasSubstr("at most 64"));
    EXPECT_THAT(refused({{"model_path", "../a"}}), HasSubstr("path traversal detected"));
    EXPECT_THAT(refused({{"model_path", "/a"}}), HasSubstr("absolute paths not allowed"));
    EXPECT_THAT(refused({{"model_path", ""}}), HasSubstr("model_path is required"));
    EXPECT_EQ(refused({{"model_path", nullptr}}), "");
    const auto path = spawn_from_json({{"model_path", "sub/a.gguf"}});
    ASSERT_TRUE(path.has_value());
    EXPECT_EQ(json::serialize(to_json(*path)), R"({"backend":"cpu","model_path":"sub/a.gguf"})");
}

TEST(Types, ProseOfOtherProgramsIsMadeHarmless) {
    const auto notice = ready_from_json(
        {{"worker_id", "w-1"},
         {"url", "http://127.0.0.1:1"},
         {"model_ref", "tiny"},
         {"backend", "cpu"},
         {"reason", "line\nnext\x1b[31m"}}
    );
    ASSERT_TRUE(notice.has_value());
    EXPECT_EQ(notice->reason, "line next [31m");
}

TEST(Types, HeartbeatsNameTheirWorker) {
    EXPECT_EQ(heartbeat_from_json({{"worker_id", "w-1"}}).value(), "w-1");
    EXPECT_FALSE(heartbeat_from_json({{"worker_id", "w 1"}}).has_value());
    EXPECT_FALSE(heartbeat_from_json({{"worker_id", "w-1"}, {"timestamp", "now"}}).has_value());
}

} // namespace
} // namespace rbee::api
