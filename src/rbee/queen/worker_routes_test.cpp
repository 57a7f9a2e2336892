#include "rbee/api/json.hpp"
#include "rbee/queen/gateway_fixture.hpp"
#include "rbee/queen/worker_routes.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace rbee::queen::test {
namespace {

using domain::WorkerState;
using testing::HasSubstr;
using testing::Not;

class WorkerRoutesTest : public GatewayTest {
protected:
    asio::awaitable<http::Response>
    send(std::string method, std::string path, std::string body = {}) {
        http::ClientRequest request;
        request.method = std::move(method);
        request.target = std::move(path);
        request.body = std::move(body);
        auto response = co_await client_.fetch(queen_, std::move(request), {});
        co_return response.value_or(http::Response{});
    }
};

std::string
registration(const std::string& id, const std::string& hive, const std::string& device) {
    return R"({"worker_id":")" + id + R"(","rbee_hive_url":"http://)" + hive +
           R"(:9200","capabilities":[")" + device + R"("],"models_loaded":["hf:org/tiny"]})";
}

TEST_F(WorkerRoutesTest, QREG01to05_RegisterListFilterPatchDelete) {
    start({});
    run([&]() -> asio::awaitable<void> {
        const auto first =
            co_await send("POST", "/v1/workers/register", registration("w-1", "a", "cuda:0"));
        EXPECT_EQ(first.status, 201);
        const auto second =
            co_await send("POST", "/v2/workers/register", registration("w-2", "b", "cpu:0"));
        EXPECT_EQ(second.status, 201);
        const auto all = co_await send("GET", "/v1/workers");
        EXPECT_EQ(all.status, 200);
        for (const char* part :
             {"w-1", "w-2", "rbee_hive_url", "capabilities", "models_loaded", "last_heartbeat_unix"
             }) {
            EXPECT_THAT(all.body, HasSubstr(part));
        }
        const auto cuda = co_await send("GET", "/v1/workers?capability=cuda:0");
        EXPECT_THAT(cuda.body, HasSubstr("w-1"));
        EXPECT_THAT(cuda.body, Not(HasSubstr("w-2")));
        const auto patched = co_await send("PATCH", "/v1/workers/w-1", R"({"state":"busy"})");
        EXPECT_EQ(patched.status, 200);
        EXPECT_EQ(fleet_.find_worker("w-1")->state(), WorkerState::busy);
        const auto beat = co_await send("POST", "/v1/workers/w-1/heartbeat");
        EXPECT_EQ(beat.status, 200);
        EXPECT_EQ(fleet_.find_worker("w-1")->state(), WorkerState::busy);
        const auto gone = co_await send("DELETE", "/v1/workers/w-1");
        EXPECT_EQ(gone.status, 204);
        const auto missing = co_await send("GET", "/v1/workers/w-1");
        EXPECT_EQ(missing.status, 404);
        EXPECT_THAT(missing.body, HasSubstr("WORKER_NOT_FOUND"));
    });
}

TEST_F(WorkerRoutesTest, GapC1_OneOfThreeHivesGetsTheId) {
    start({});
    run([&]() -> asio::awaitable<void> {
        int created = 0;
        int conflicts = 0;
        for (const char* hive : {"a", "b", "c"}) {
            const auto answer =
                co_await send("POST", "/v1/workers/register", registration("w-1", hive, "cpu:0"));
            created += answer.status == 201 ? 1 : 0;
            const bool named = answer.body.find("WORKER_ALREADY_REGISTERED") != std::string::npos;
            conflicts += answer.status == 409 && named ? 1 : 0;
        }
        EXPECT_EQ(created, 1);
        EXPECT_EQ(conflicts, 2);
        const auto again =
            co_await send("POST", "/v1/workers/register", registration("w-1", "a", "cpu:0"));
        EXPECT_EQ(again.status, 200);
    });
}

TEST_F(WorkerRoutesTest, BadRegistrationsNameTheField) {
    start({});
    run([&]() -> asio::awaitable<void> {
        const auto id =
            co_await send("POST", "/v1/workers/register", registration("w;1", "a", "cpu:0"));
        EXPECT_EQ(id.status, 400);
        const auto url = co_await send("POST", "/v1/workers/register", R"({"worker_id":"w"})");
        EXPECT_EQ(url.status, 400);
        EXPECT_THAT(url.body, HasSubstr("rbee_hive_url"));
        const auto list = co_await send(
            "POST",
            "/v1/workers/register",
            R"({"worker_id":"w","rbee_hive_url":"http://a:1","capabilities":"x"})"
        );
        EXPECT_THAT(list.body, HasSubstr("capabilities"));
        const auto state = co_await send("PATCH", "/v1/workers/w", R"({"state":"sleepy"})");
        EXPECT_EQ(state.status, 400);
    });
}

TEST_F(WorkerRoutesTest, SpawnGoesToTheHiveAndSaysWhich) {
    start({});
    FakeHive& hive = add_hive("h1");
    hive.spawn_answer.body = R"({"worker_id":"w9","state":"loading"})";
    report("h1", {});
    run([&]() -> asio::awaitable<void> {
        const auto done = co_await send("POST", "/v1/workers/spawn", R"({"model_ref":"tiny"})");
        EXPECT_EQ(done.status, 200);
        EXPECT_THAT(done.body, HasSubstr("\"hive\":\"h1\""));
        EXPECT_EQ(hive.spawns, 1);
        const auto lost =
            co_await send("POST", "/v1/workers/spawn", R"({"model_ref":"tiny","node":"h7"})");
        EXPECT_EQ(lost.status, 404);
        EXPECT_THAT(lost.body, HasSubstr("NODE_NOT_FOUND"));
        hive.spawn_answer = api::error_response(
            {Errc::resources, "no memory", "INSUFFICIENT_RAM"}, "id", {{"model_ref", "tiny"}}
        );
        const auto short_of = co_await send("POST", "/v1/workers/spawn", R"({"model_ref":"tiny"})");
        EXPECT_EQ(short_of.status, 503);
        EXPECT_THAT(short_of.body, HasSubstr("details"));
    });
}

// A client asks for the worker it started before the hive's own report has come.
TEST_F(WorkerRoutesTest, ASpawnedWorkerIsKnownAtOnceAndFollowedWhileItLoads) {
    start({});
    FakeHive& hive = add_hive("h1");
    hive.spawn_answer.body = R"({"worker_id":"w9","state":"loading"})";
    report("h1", {});
    api::HiveReport there;
    there.hive_id = "h1";
    there.url = hive.endpoint.to_string();
    there.version = "0.1.0";
    api::WorkerInfo worker;
    worker.id = "w9";
    worker.url = "http://127.0.0.1:9";
    worker.model = "tiny";
    worker.model_ref = "file:/m/tiny.gguf";
    worker.backend = "cpu";
    worker.state = WorkerState::loading;
    there.workers = {worker};
    http::Response answer;
    answer.body = boost::json::serialize(api::to_json(there));
    hive.report_answer = answer;
    run([&]() -> asio::awaitable<void> {
        co_await send("POST", "/v1/workers/spawn", R"({"model_ref":"tiny"})");
        const auto loading = co_await send("GET", "/v1/workers/w9");
        EXPECT_EQ(loading.status, 200);
        EXPECT_THAT(loading.body, HasSubstr(R"("state":"loading")"));
        there.workers.front().state = WorkerState::idle;
        hive.report_answer->body = boost::json::serialize(api::to_json(there));
        const auto ready = co_await send("GET", "/v1/workers/w9");
        EXPECT_THAT(ready.body, HasSubstr(R"("state":"idle")"));
    });
}

TEST_F(WorkerRoutesTest, ModelsAndStatus) {
    start({});
    add_hive("h1");
    report("h1", {{"w1", WorkerState::idle}});
    run([&]() -> asio::awaitable<void> {
        const auto models = co_await send("GET", "/v1/models");
        EXPECT_THAT(models.body, HasSubstr(R"("object":"list")"));
        EXPECT_THAT(models.body, HasSubstr(R"("id":"tiny","object":"model")"));
        EXPECT_THAT(models.body, HasSubstr(R"("state":"ready")"));
        const auto one = co_await send("GET", "/v1/models/tiny");
        EXPECT_EQ(one.status, 200);
        const auto none = co_await send("GET", "/v1/models/none");
        EXPECT_EQ(none.status, 404);
        const auto status = co_await send("GET", "/v1/status");
        for (const char* part :
             {"version", "uptime_s", "hives", "workers", "models", "queue_depth", "in_flight"}) {
            EXPECT_THAT(status.body, HasSubstr(part));
        }
        const auto health = co_await send("GET", "/health");
        EXPECT_THAT(health.body, HasSubstr(R"("status":"ok")"));
        const auto down = co_await send("POST", "/v1/admin/shutdown");
        EXPECT_EQ(down.status, 202);
        EXPECT_EQ(shutdowns_, 1);
    });
}

} // namespace
} // namespace rbee::queen::test
