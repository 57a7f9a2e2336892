#include "rbee/queen/gateway_fixture.hpp"
#include "rbee/queen/hive_report.hpp"
#include "rbee/queen/hive_routes.hpp"
#include "rbee/queen/local_hive.hpp"

#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

namespace rbee::queen::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

TEST(HiveVersion, AtLeast010AndCompatible) {
    EXPECT_TRUE(check_version("0.1.0"));
    EXPECT_TRUE(check_version("0.1.7-rc1"));
    for (const char* newer : {"0.2.0", "1.0.0"}) {
        const auto wrong = check_version(newer);
        ASSERT_FALSE(wrong);
        EXPECT_THAT(wrong.error().what, HasSubstr(newer));
        EXPECT_THAT(wrong.error().what, HasSubstr("upgrade the queen"));
    }
    const auto old = check_version("0.0.9");
    ASSERT_FALSE(old);
    EXPECT_EQ(old.error().wire_code, "VERSION_MISMATCH");
    EXPECT_THAT(old.error().what, HasSubstr("0.0.9"));
    EXPECT_THAT(old.error().what, HasSubstr(RBEE_VERSION));
    EXPECT_FALSE(check_version(""));
    EXPECT_FALSE(check_version("one"));
}

class HiveRoutesTest : public GatewayTest {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "rbee-hives-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        database_ = store::Database::open(folder_ + "/b.db", NodeStore::migrations()).value();
        nodes_ = std::make_unique<NodeStore>(*database_);
        routes_ =
            std::make_unique<HiveRoutes>(HiveRoutes::Parts{fleet_, hives_, *nodes_, timers_, log_});
        routes_->mount(gate_.router());
        start({});
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    asio::awaitable<http::Response>
    send(std::string method, std::string path, std::string body = {}) {
        http::ClientRequest request;
        request.method = std::move(method);
        request.target = std::move(path);
        request.body = std::move(body);
        auto response = co_await client_.fetch(queen_, std::move(request), {});
        co_return response.value_or(http::Response{});
    }
    static std::string
    beat(const std::string& name, const std::string& url, const std::string& version) {
        api::HiveReport report;
        report.hive_id = name;
        report.url = url;
        report.version = version;
        return boost::json::serialize(api::to_json(report));
    }

    std::string folder_;
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<NodeStore> nodes_;
    std::unique_ptr<HiveRoutes> routes_;
};

TEST_F(HiveRoutesTest, FirstHeartbeatRegistersAndIsKept) {
    run([&]() -> asio::awaitable<void> {
        const auto url = std::string("http://127.0.0.1:9201");
        const auto first = co_await send("POST", "/v1/hives/heartbeat", beat("h1", url, "0.1.0"));
        EXPECT_EQ(first.status, 200);
        const auto moved =
            co_await send("POST", "/v1/heartbeat", beat("h1", "http://127.0.0.1:9202", "0.1.0"));
        EXPECT_EQ(moved.status, 200);
        const auto old = co_await send("POST", "/v1/hives/heartbeat", beat("h2", url, "0.0.1"));
        EXPECT_EQ(old.status, 409);
        EXPECT_THAT(old.body, HasSubstr("VERSION_MISMATCH"));
        const auto nodes = co_await nodes_->list();
        EXPECT_EQ(nodes->size(), 1U);
        EXPECT_EQ(nodes->front().url, "http://127.0.0.1:9202");
        EXPECT_EQ(nodes->front().status, "reachable");
        const auto list = co_await send("GET", "/v1/hives");
        EXPECT_THAT(list.body, HasSubstr("\"available\":true"));
        const auto gone = co_await send("DELETE", "/v1/hives/h1");
        EXPECT_EQ(gone.status, 204);
        const auto again = co_await send("DELETE", "/v1/hives/h1");
        EXPECT_EQ(again.status, 404);
    });
}

TEST_F(HiveRoutesTest, AddByUrlAsksTheHiveFirst) {
    FakeHive hive(context_, reaper_);
    hive.handler = [](FakeHive&, http::Exchange& exchange) -> asio::awaitable<void> {
        return answer(exchange, 200, R"({"status":"alive","version":"0.1.0"})");
    };
    hive.report_answer = {
        .status = 200, .body = beat("its-own-name", "http://127.0.0.1:1", "0.1.0")
    };
    run([&]() -> asio::awaitable<void> {
        const std::string body = R"({"name":"far","url":")" + hive.endpoint.to_string() + "\"}";
        const auto added = co_await send("POST", "/v1/hives", body);
        EXPECT_EQ(added.status, 201);
        EXPECT_TRUE(fleet_.find_hive("far")->available);
        const auto twice = co_await send("POST", "/v1/hives", body);
        EXPECT_EQ(twice.status, 409);
        // Its own reports carry another name; the one given here counts.
        const auto own = co_await send(
            "POST", "/v1/hives/heartbeat", beat("its-own-name", hive.endpoint.to_string(), "0.1.0")
        );
        EXPECT_EQ(own.status, 200);
        EXPECT_EQ(fleet_.hives().size(), 1U);
        const auto dead =
            co_await send("POST", "/v1/hives", R"({"name":"x","url":"http://127.0.0.1:1"})");
        EXPECT_EQ(dead.status, 503);
        EXPECT_THAT(dead.body, Not(HasSubstr("127.0.0.1")));
        const auto bad =
            co_await send("POST", "/v1/hives", R"({"name":"-x","url":"http://127.0.0.1:1"})");
        EXPECT_EQ(bad.status, 400);
        co_await hive.stop();
    });
}

TEST_F(HiveRoutesTest, BeehivesAddUpdateListRemove) {
    run([&]() -> asio::awaitable<void> {
        const std::string base = "/v2/registry/beehives/";
        const std::string node =
            R"({"node_name":"ws","ssh_host":"10.0.0.7","ssh_user":"bee","git_repo_url":"r","install_path":"/o"})";
        const auto added = co_await send("POST", base + "add", node);
        EXPECT_EQ(added.status, 200);
        const auto twice = co_await send("POST", base + "add", node);
        EXPECT_EQ(twice.status, 409);
        const auto updated =
            co_await send("POST", base + "update", R"({"node_name":"ws","ssh_port":2222})");
        EXPECT_EQ(updated.status, 200);
        const auto list = co_await send("GET", base + "list");
        EXPECT_THAT(list.body, HasSubstr("\"ssh_port\":2222"));
        EXPECT_THAT(list.body, HasSubstr("\"ssh_user\":\"bee\""));
        EXPECT_THAT(list.body, HasSubstr("\"url\":\"http://10.0.0.7:9200\""));
        const auto unknown = co_await send("POST", base + "update", R"({"node_name":"no"})");
        EXPECT_EQ(unknown.status, 404);
        const auto bad = co_await send(
            "POST", base + "add", R"({"node_name":"w2","ssh_host":"h","ssh_port":70000})"
        );
        EXPECT_EQ(bad.status, 400);
        const auto removed = co_await send("POST", base + "remove", R"({"node_name":"ws"})");
        EXPECT_EQ(removed.status, 200);
        const auto again = co_await send("POST", base + "remove", R"({"node_name":"ws"})");
        EXPECT_EQ(again.status, 404);
    });
}

TEST_F(HiveRoutesTest, LocalHiveGetsItsTokenOutsideOfArgv) {
    LocalHive::Settings settings;
    settings.binary = "/opt/rbee-hive";
    settings.port = 0;
    settings.queen_url = "http://127.0.0.1:8080";
    settings.models_dir = "/models";
    settings.slots = 2;
    settings.inference_body_mb = 64;
    settings.environment = {"PATH=/bin"};
    settings.token_file = "/home/token";
    LocalHive hive({fleet_, hives_, timers_, log_}, std::move(settings));
    const auto command = hive.command({.lifeline = 17, .token = -1, .queen_token = 18});
    EXPECT_EQ(command.program, "/opt/rbee-hive");
    EXPECT_THAT(command.args, Contains("http://127.0.0.1:8080"));
    EXPECT_THAT(command.args, Contains("localhost"));
    EXPECT_THAT(command.args, testing::IsSupersetOf({"--inference-body-mb", "64"}));
    EXPECT_THAT(command.args, testing::IsSupersetOf({"--token-file", "/home/token"}));
    EXPECT_THAT(command.args, testing::IsSupersetOf({"--queen-token-fd", "5"}));
    EXPECT_THAT(command.args, Not(Contains("--token-fd")));
    EXPECT_THAT(command.env, testing::ElementsAre("PATH=/bin"));
    ASSERT_EQ(command.inherit.size(), 2U);
    EXPECT_EQ(command.inherit.front().parent_fd, 17);
    EXPECT_EQ(command.inherit.back().parent_fd, 18);
}

} // namespace
} // namespace rbee::queen::test
