#include "rbee/runtime/task_group.hpp"
#include "rbee/worker/service.hpp"
#include "rbee/worker/service_fixture.hpp"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace rbee::worker {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

/// A request without a token.
http::ClientRequest stranger(std::string method, std::string target) {
    return {.method = std::move(method), .target = std::move(target), .headers = {}, .body = {}};
}

TEST_F(ServiceTest, HealthIsOpenAndNamesTheState) {
    for (const char* path : {"/health", "/v1/health"}) {
        const auto answer = fetch(stranger("GET", path));
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(
            answer.body,
            R"({"status":"healthy","version":")" RBEE_VERSION
            R"(","api_version":"v1","vram_bytes":0,"state":"loading"})"
        );
    }
    load();
    EXPECT_THAT(fetch(stranger("GET", "/health")).body, HasSubstr(R"("state":"idle")"));
    EXPECT_EQ(fetch(stranger("GET", "/metrics")).status, 200);
}

TEST_F(ServiceTest, EverythingElseNeedsAToken) {
    const std::pair<const char*, const char*> routes[] = {
        {"POST", "/v1/inference"},
        {"POST", "/infer"},
        {"POST", "/v1/chat/completions"},
        {"DELETE", "/v1/inference/x"},
        {"POST", "/cancel"},
        {"GET", "/v1/ready"},
        {"GET", "/v1/loading/progress"},
        {"POST", "/v1/admin/shutdown"},
        {"POST", "/shutdown"},
        {"GET", "/v1/models"},
        {"POST", "/v1/embeddings"},
        {"GET", "/nowhere"},
    };
    for (const auto& [method, path] : routes) {
        EXPECT_EQ(fetch(stranger(method, path)).status, 401) << path;
    }
    EXPECT_EQ(shutdowns_, 0);
    EXPECT_EQ(get("/nowhere").status, 404);
}

TEST_F(ServiceTest, ReadyFollowsTheLoad) {
    EXPECT_EQ(
        get("/v1/ready").body,
        R"({"ready":false,"state":"loading","progress_url":"/v1/loading/progress"})"
    );
    load(2);
    EXPECT_EQ(
        get("/v1/ready").body,
        R"({"ready":true,"state":"idle","model_loaded":true,"model":"tiny","slots_total":2,)"
        R"("slots_busy":0})"
    );
    EXPECT_TRUE(metric("rbee_worker_slots 2"));
    EXPECT_TRUE(metric(R"(rbee_worker_state{state="idle"} 1)"));
    EXPECT_TRUE(metric(R"(rbee_worker_state{state="loading"} 0)"));
}

TEST_F(ServiceTest, AFailedLoadIsUnhealthyForGood) {
    engine_.set_load_result(fail(Errc::corrupt, "no GGUF file: /secret/place/tiny.gguf"));
    EXPECT_FALSE(finish(start(service_.load(&pool_))).has_value());
    const auto health = fetch(stranger("GET", "/health"));
    EXPECT_EQ(health.status, 503);
    EXPECT_THAT(health.body, HasSubstr(R"("status":"unhealthy")"));
    EXPECT_EQ(
        get("/v1/ready").body,
        R"({"ready":false,"state":"error","reason":"no GGUF file: tiny.gguf"})"
    );
    EXPECT_EQ(get("/v1/loading/progress").status, 503);
    EXPECT_TRUE(logged(R"("event":"model_load_error")"));
}

TEST_F(ServiceTest, ShowsTheLoadAsItGoes) {
    Stream stream = open(request("GET", "/v1/loading/progress"));
    EXPECT_EQ(stream->head().status, 200);
    EXPECT_THAT(read_until(*stream, "\n\n"), HasSubstr(R"("layers_loaded":0,"layers_total":0)"));
    run_until([this] { return timers_.sleeping() > 0; });
    timers_.advance(std::chrono::seconds(10));
    EXPECT_EQ(read_until(*stream, "\n\n"), ": keep-alive\n\n");
    load();
    const std::string rest = read_until(*stream, "");
    EXPECT_THAT(rest, testing::EndsWith("data: {\"stage\":\"ready\"}\n\ndata: [DONE]\n\n"));
}

TEST_F(ServiceTest, ALateListenerHearsReadyAtOnce) {
    load();
    EXPECT_EQ(get("/v1/loading/progress").body, "data: {\"stage\":\"ready\"}\n\ndata: [DONE]\n\n");
}

TEST_F(ServiceTest, ShutdownIsAcceptedAndEndsNewWork) {
    load();
    for (const char* path : {"/v1/admin/shutdown", "/v1/shutdown", "/shutdown"}) {
        const auto answer = post(path, "");
        EXPECT_EQ(answer.status, 202);
        EXPECT_THAT(answer.body, HasSubstr(R"("state":"draining")"));
    }
    run_until([this] { return shutdowns_ == 3; });
    EXPECT_EQ(post("/v1/inference", R"({"prompt":"p"})").status, 503);
    EXPECT_THAT(get("/v1/ready").body, HasSubstr(R"("state":"draining")"));
    EXPECT_EQ(fetch(stranger("GET", "/health")).status, 200);
}

TEST_F(ServiceTest, TheEngineAnswersWhatIsNoGeneration) {
    load();
    const std::pair<const char*, engine::Route> posts[] = {
        {"/v1/embeddings", engine::Route::embeddings},
        {"/v1/rerank", engine::Route::rerank},
        {"/v1/messages/count_tokens", engine::Route::count_tokens},
        {"/tokenize", engine::Route::tokenize},
        {"/detokenize", engine::Route::detokenize},
        {"/apply-template", engine::Route::apply_template},
        {"/infill", engine::Route::infill},
        {"/lora-adapters", engine::Route::lora_adapters_set},
    };
    for (const auto& [path, route] : posts) {
        engine_.set_reply(
            route, {200, "application/json", std::string("{\"at\":\"") + path + "\"}"}
        );
        EXPECT_EQ(post(path, "{}").body, std::string("{\"at\":\"") + path + "\"}");
    }
    const std::pair<const char*, engine::Route> gets[] = {
        {"/v1/models", engine::Route::models},
        {"/props", engine::Route::props},
        {"/slots", engine::Route::slots},
        {"/lora-adapters", engine::Route::lora_adapters_get},
    };
    for (const auto& [path, route] : gets) {
        engine_.set_reply(route, {200, "text/plain", path});
        const auto answer = get(path);
        EXPECT_EQ(answer.body, path);
        EXPECT_EQ(answer.content_type, "text/plain");
    }
    EXPECT_EQ(service_.slots_busy(), 0U);
}

TEST_F(ServiceTest, ErrorsOfTheEngineGetOurShape) {
    load();
    engine_.set_reply(
        engine::Route::rerank,
        {501,
         "application/json",
         R"({"error":{"code":501,"message":"no reranking here","type":"not_supported_error"}})"}
    );
    const auto answer = post("/v1/rerank", "{}");
    EXPECT_EQ(answer.status, 501);
    const auto error = json::parse(answer.body).at("error");
    EXPECT_EQ(error.at("code").as_string(), "NOT_SUPPORTED");
    EXPECT_EQ(error.at("message").as_string(), "no reranking here");
    EXPECT_EQ(error.at("correlation_id").as_string().size(), 36U);
}

TEST_F(ServiceTest, TheEngineIsNotAskedWhileLoading) {
    const auto answer = post("/v1/embeddings", "{}");
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("WORKER_NOT_READY"));
}

TEST_F(ServiceTest, ADeadEngineIsNoticed) {
    load();
    runtime::TaskGroup tasks(loop_.get_executor(), {});
    tasks.start(service_.watch(), "watch");
    timers_.settle();
    EXPECT_EQ(service_.status().phase(), WorkerStatus::Phase::ready);
    engine_.set_stats({.failed = true});
    timers_.advance(std::chrono::seconds(1));
    EXPECT_EQ(service_.status().phase(), WorkerStatus::Phase::failed);
    EXPECT_TRUE(metric("rbee_worker_uptime_seconds 1"));
    EXPECT_EQ(fetch(stranger("GET", "/health")).status, 503);
    tasks.cancel();
    run_until([&] { return tasks.count() == 0; });
}

} // namespace
} // namespace rbee::worker
