#include "rbee/api/gate.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/telemetry/log_capture.hpp"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "support/default_deny.hpp"
#include "support/fake_clock.hpp"

namespace rbee::api {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using auth::Scope;
using testing::HasSubstr;
using testing::Not;

asio::awaitable<void> say_who(http::Exchange& exchange) {
    co_await respond_json(
        exchange, 200, {{"actor", exchange.actor}, {"principal", exchange.principal}}
    );
}

asio::awaitable<void> refuse(http::Exchange& exchange) {
    const auto good = domain::check_worker_id("`whoami`");
    co_await respond_error(exchange, good.error());
}

/// A gate with one route for each right.
class GateTest : public testing::Test {
protected:
    GateTest() {
        add(gate_);
        authenticator_.accept(Secret("token-for-everything"));
        authenticator_.grant("inferrer", Secret("token-that-may-infer"), {Scope::infer});
        authenticator_.grant("boss", Secret("token-of-the-admin"), {Scope::admin});
    }

    static void add(Gate& gate) {
        http::Router& router = gate.router();
        router.add("GET", "/health", say_who, http::Access::open);
        router.add("GET", "/any", say_who, http::Access::any);
        router.add("POST", "/infer", say_who, http::Access::infer);
        router.add("GET", "/models", say_who, http::Access::models);
        router.add("GET", "/hive", say_who, http::Access::hive);
        router.add("GET", "/worker", say_who, http::Access::worker);
        router.add("POST", "/change", say_who); // nothing said: admin
        router.add("POST", "/refuse", refuse, http::Access::any);
        router.add("GET", "/things/{id}", say_who, http::Access::any);
    }

    http::Response
    ask(const std::string& method, const std::string& path, std::string_view token = {}) {
        return server_.fetch(
            method,
            path,
            token.empty() ? std::nullopt : std::optional("Bearer " + std::string(token))
        );
    }
    static std::string challenge(const http::Response& response) {
        return std::string(response.headers.find("WWW-Authenticate").value_or(""));
    }
    static std::string code(const http::Response& response) {
        return boost::json::parse(response.body).at("error").at("code").as_string().c_str();
    }

    std::shared_ptr<telemetry::LogCapture> capture_ = std::make_shared<telemetry::LogCapture>();
    telemetry::Logger log_{*telemetry::Logger::open({.component = "test", .capture = capture_})};
    telemetry::Metrics metrics_;
    test::FakeClock clock_;
    auth::Authenticator authenticator_;
    Gate gate_{
        authenticator_,
        log_,
        metrics_,
        {.program = "queen-rbee",
         .prefix = "rbee_test",
         .clock = clock_,
         .failures = {.burst = 5, .per_second = 1}}
    };
    test::GateServer server_{gate_};
};

TEST_F(GateTest, AUTH_001_AUTH_018_NoTokenGetsAChallengeAndTheOneErrorShape) {
    const auto answer = ask("GET", "/models");
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(challenge(answer), "Bearer realm=\"queen-rbee\"");
    const auto body = boost::json::parse(answer.body).at("error");
    EXPECT_EQ(body.at("code"), "MISSING_API_KEY");
    EXPECT_EQ(body.at("message"), "Missing API key");
    EXPECT_TRUE(capture_->contains("missing_header"));
}

TEST_F(GateTest, AUTH_002_AUTH_007_AUTH_014_AWrongTokenIsLoggedByItsFingerprintOnly) {
    const auto answer = ask("GET", "/models", "some-wrong-token");
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(challenge(answer), "Bearer realm=\"queen-rbee\", error=\"invalid_token\"");
    EXPECT_EQ(code(answer), "INVALID_API_KEY");
    EXPECT_TRUE(capture_->contains("auth failed"));
    EXPECT_TRUE(capture_->contains("\"level\":\"warn\""));
    EXPECT_TRUE(capture_->contains(auth::fingerprint("some-wrong-token")));
    EXPECT_FALSE(capture_->contains("some-wrong-token"));
}

TEST_F(GateTest, AUTH_003_AUTH_015_ARightTokenIsLoggedByNameAndFingerprint) {
    const auto answer = ask("POST", "/infer", "token-that-may-infer");
    EXPECT_EQ(answer.status, 200);
    const auto body = boost::json::parse(answer.body);
    EXPECT_EQ(body.at("principal"), "inferrer");
    EXPECT_EQ(body.at("actor").as_string(), auth::fingerprint("token-that-may-infer"));
    EXPECT_TRUE(capture_->contains("\"authenticated\""));
    EXPECT_TRUE(capture_->contains("\"level\":\"info\""));
    EXPECT_FALSE(capture_->contains("token-that-may-infer"));
}

TEST_F(GateTest, VAL_023_TooManyInvalidRequestsOfAClientAre429) {
    // The handler has answered by then: what is counted is its 400.
    const std::string token = "token-for-everything";
    int invalid = 0;
    for (int i = 0; i < 50; ++i) {
        invalid += ask("POST", "/refuse", token).status == 400 ? 1 : 0;
    }
    EXPECT_EQ(invalid, 50);
    const auto limited = ask("POST", "/refuse", token);
    EXPECT_EQ(limited.status, 429);
    EXPECT_EQ(code(limited), "RATE_LIMITED");
    EXPECT_EQ(limited.headers.find("Retry-After"), "1");
    EXPECT_EQ(ask("GET", "/models", token).status, 200); // who does it right is not held up
    clock_.advance(1s);
    EXPECT_EQ(ask("POST", "/refuse", token).status, 400);
}

TEST_F(GateTest, VAL_024_WrongFieldsAreListedInTheAnswer) {
    const auto answer = ask("POST", "/refuse", "token-for-everything");
    const auto error = boost::json::parse(answer.body).at("error");
    EXPECT_EQ(error.at("param"), "worker_id");
    const auto& field = error.at("details").at("errors").at(0);
    EXPECT_EQ(field.at("field"), "worker_id");
    EXPECT_EQ(field.at("constraint"), "characters");
    EXPECT_EQ(field.at("message"), "Invalid worker ID: contains backticks");
    EXPECT_THAT(answer.body, Not(HasSubstr("whoami")));
}

TEST_F(GateTest, PartsOfThePathHoldNoControlCharacters) {
    EXPECT_EQ(ask("GET", "/things/a%20b", "token-for-everything").status, 200);
    for (const char* path : {"/things/a%0Ab", "/things/a%1B%5B31m", "/things/%E2%80%AEb"}) {
        EXPECT_EQ(ask("GET", path, "token-for-everything").status, 400) << path;
    }
    EXPECT_EQ(ask("GET", "/things/" + std::string(513, 'a'), "token-for-everything").status, 400);
}

TEST_F(GateTest, VAL_001_VAL_002_PathsCannotWriteIntoTheLogNorFillIt) {
    for (const char* path : {"/no%0A%7B%22fake%22:1%7D", "/no%1B%5B31m", "/no%C2%9B31m"}) {
        EXPECT_EQ(ask("GET", path, "token-for-everything").status, 404) << path;
    }
    EXPECT_EQ(ask("GET", "/" + std::string(5000, 'a'), "token-for-everything").status, 404);
    for (const std::string& line : capture_->lines()) {
        EXPECT_EQ(line.find_first_of("\n\r\x1b"), std::string::npos);
        EXPECT_THAT(line, Not(HasSubstr("\xc2\x9b")));
        EXPECT_THAT(line, Not(HasSubstr("\"fake\":1"))); // its quotes are escaped
        EXPECT_LT(line.size(), 1000U);
    }
}

TEST_F(GateTest, AScopeThatIsMissingIs403AndNamesIt) {
    const auto answer = ask("GET", "/models", "token-that-may-infer");
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(code(answer), "INSUFFICIENT_SCOPE");
    EXPECT_EQ(
        challenge(answer),
        "Bearer realm=\"queen-rbee\", error=\"insufficient_scope\", scope=\"models\""
    );
    EXPECT_TRUE(capture_->contains("insufficient_scope"));
    EXPECT_EQ(ask("POST", "/change", "token-that-may-infer").status, 403);
    EXPECT_EQ(ask("GET", "/any", "token-that-may-infer").status, 200);
}

TEST_F(GateTest, AdminMayInferAndLookButIsNoProgram) {
    for (const char* path : {"/models", "/any"}) {
        EXPECT_EQ(ask("GET", path, "token-of-the-admin").status, 200) << path;
    }
    EXPECT_EQ(ask("POST", "/infer", "token-of-the-admin").status, 200);
    EXPECT_EQ(ask("POST", "/change", "token-of-the-admin").status, 200);
    EXPECT_EQ(ask("GET", "/hive", "token-of-the-admin").status, 403);
    EXPECT_EQ(ask("GET", "/worker", "token-of-the-admin").status, 403);
    EXPECT_EQ(ask("GET", "/worker", "token-for-everything").status, 200);
}

TEST_F(GateTest, AUTH_017_UnknownPathsAndMethodsNeedATokenToo) {
    EXPECT_EQ(ask("GET", "/nothing").status, 401);
    EXPECT_EQ(ask("DELETE", "/health").status, 401);
    EXPECT_EQ(ask("GET", "/nothing", "token-that-may-infer").status, 404);
    const auto method = ask("DELETE", "/health", "token-that-may-infer");
    EXPECT_EQ(method.status, 405);
    EXPECT_EQ(method.headers.find("Allow"), "GET");
}

TEST_F(GateTest, ATokenInTheQueryAndTwoFieldsAreBadRequests) {
    EXPECT_EQ(ask("GET", "/models?access_token=token-for-everything").status, 400);
    EXPECT_EQ(ask("GET", "/models?a=b&API%5fkey=x", "token-for-everything").status, 400);
    EXPECT_EQ(ask("GET", "/models?token=&keys=1", "token-for-everything").status, 200);
    http::ClientRequest twice{.method = "GET", .target = "/models", .headers = {}, .body = {}};
    twice.headers.add("Authorization", "Bearer token-for-everything");
    twice.headers.add("Authorization", "Bearer token-for-everything");
    EXPECT_EQ(server_.fetch(std::move(twice)).status, 400);
    EXPECT_FALSE(capture_->contains("token-for-everything"));
}

TEST_F(GateTest, TooManyFailuresAre429UntilTimeHasPassedAndValidTokensNeverWait) {
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(ask("GET", "/models", "wrong").status, 401);
    }
    const auto limited = ask("GET", "/models", "wrong");
    EXPECT_EQ(limited.status, 429);
    EXPECT_EQ(code(limited), "RATE_LIMITED");
    EXPECT_EQ(limited.headers.find("Retry-After"), "1");
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(ask("GET", "/models", "token-for-everything").status, 200);
    }
    EXPECT_EQ(ask("GET", "/health").status, 200);
    EXPECT_EQ(ask("GET", "/models").status, 429);
    clock_.advance(1s);
    EXPECT_EQ(ask("GET", "/models").status, 401);
    EXPECT_THAT(metrics_.text(), HasSubstr("rbee_test_auth_limited_total 2"));
}

TEST_F(GateTest, MetricsAreOpenUnlessTheSettingProtectsThem) {
    EXPECT_EQ(ask("GET", "/metrics").status, 200);
    telemetry::Metrics metrics;
    Gate closed(
        authenticator_,
        log_,
        metrics,
        {.program = "p", .prefix = "rbee_closed", .clock = clock_, .metrics_auth = true}
    );
    test::GateServer server(closed);
    EXPECT_EQ(server.fetch("GET", "/metrics").status, 401);
    EXPECT_EQ(server.fetch("GET", "/metrics", "Bearer token-that-may-infer").status, 403);
    EXPECT_EQ(server.fetch("GET", "/metrics", "Bearer token-of-the-admin").status, 200);
}

TEST_F(GateTest, ARevokedTokenIsRefusedOnTheSameConnection) {
    EXPECT_EQ(ask("POST", "/infer", "token-that-may-infer").status, 200);
    EXPECT_TRUE(authenticator_.revoke("inferrer"));
    EXPECT_EQ(ask("POST", "/infer", "token-that-may-infer").status, 401);
}

} // namespace
} // namespace rbee::api
