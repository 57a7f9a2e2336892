#include "rbee/api/gate.hpp"
#include "rbee/api/gate_audit.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/domain/validate.hpp"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/default_deny.hpp"
#include "support/fake_clock.hpp"
#include "support/memory_audit.hpp"

namespace rbee::api {
namespace {

namespace asio = boost::asio;
using auth::Scope;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A gate with a log in memory. Handlers count how often they ran.
class GateAuditTest : public testing::Test {
protected:
    explicit GateAuditTest(audit::Mode mode = audit::Mode::group) : audit_(mode) {
        authenticator_.accept(Secret("token-for-everything"));
        authenticator_.grant("inferrer", Secret("token-that-may-infer"), {Scope::infer});
        http::Router& router = gate_.router();
        const auto add = [&](const char* method, const char* path, http::Access access) {
            router.add(
                method, path, [this](http::Exchange& exchange) { return answer(exchange); }, access
            );
        };
        add("POST", "/change", http::Access::admin);
        add("GET", "/look", http::Access::admin);
        add("POST", "/infer", http::Access::infer);
        add("GET", "/open", http::Access::open);
        router.add(
            "POST",
            "/stream",
            [this](http::Exchange& exchange) { return stream(exchange); },
            http::Access::infer
        );
        router.add(
            "POST",
            "/model",
            [](http::Exchange& exchange) { return refuse_model(exchange); },
            http::Access::any
        );
    }

    asio::awaitable<void> answer(http::Exchange& exchange) {
        ++ran_;
        co_await respond_json(exchange, 200, {});
    }
    asio::awaitable<void> stream(http::Exchange& exchange) {
        ++ran_;
        const auto begun = co_await exchange.begin_stream(200, {});
        began_ = begun.has_value();
        if (began_) {
            const auto ended = co_await exchange.end_stream();
            (void)ended;
        }
    }
    static asio::awaitable<void> refuse_model(http::Exchange& exchange) {
        const auto ref = domain::parse_model_ref("file:../../etc/passwd");
        co_await respond_error(exchange, ref.error());
    }

    http::Response
    ask(const std::string& method, const std::string& path, std::string_view token = {}) {
        return server_.fetch(
            method,
            path,
            token.empty() ? std::nullopt : std::optional("Bearer " + std::string(token))
        );
    }
    [[nodiscard]] std::vector<std::string> types() const {
        std::vector<std::string> out;
        for (const audit::Event& event : audit_.events) {
            out.push_back(event.type());
        }
        return out;
    }

    telemetry::Logger log_{*telemetry::Logger::open({.component = "test"})};
    telemetry::Metrics metrics_;
    test::FakeClock clock_;
    auth::Authenticator authenticator_;
    test::MemoryAudit audit_;
    Gate gate_{
        authenticator_,
        log_,
        metrics_,
        {.program = "queen-rbee",
         .prefix = "rbee_test",
         .clock = clock_,
         .failures = {.burst = 2, .per_second = 1},
         .audit = &audit_}
    };
    int ran_ = 0;
    bool began_ = false;
    test::GateServer server_{gate_};
};

class StrictGateAuditTest : public GateAuditTest {
protected:
    StrictGateAuditTest() : GateAuditTest(audit::Mode::strict) {}
};

TEST_F(GateAuditTest, AUDIT_002_SuccessHasActorAddressMethodPathAndService) {
    ASSERT_EQ(ask("GET", "/look", "token-for-everything").status, 200);
    ASSERT_THAT(types(), ElementsAre("auth.success"));
    const std::string& body = audit_.events.front().body();
    EXPECT_THAT(body, HasSubstr(R"("actor":"token:)"));
    EXPECT_THAT(body, HasSubstr(R"("ip":"127.0.0.1")"));
    EXPECT_THAT(body, HasSubstr(R"("method":"GET","path":"/look","service_id":"queen-rbee")"));
    EXPECT_THAT(body, Not(HasSubstr("token-for-everything")));
}

TEST_F(GateAuditTest, AUDIT_002_FailureHasReasonAndAddressAndNoToken) {
    ASSERT_EQ(ask("GET", "/look?q=what-was-asked", "some-wrong-token").status, 401);
    ASSERT_EQ(ask("POST", "/change", "token-that-may-infer").status, 403);
    ASSERT_THAT(types(), ElementsAre("auth.failure", "auth.failure"));
    EXPECT_THAT(audit_.events[0].body(), HasSubstr(R"("reason":"invalid_token")"));
    EXPECT_THAT(audit_.events[0].body(), HasSubstr(R"("ip":"127.0.0.1")"));
    EXPECT_THAT(audit_.events[0].body(), Not(HasSubstr("some-wrong-token")));
    EXPECT_THAT(audit_.events[0].body(), Not(HasSubstr("what-was-asked")));
    EXPECT_EQ(audit_.events[0].flood_source(), "127.0.0.1");
    EXPECT_THAT(audit_.events[1].body(), HasSubstr(R"("reason":"insufficient_scope")"));
    EXPECT_EQ(ran_, 0);
}

TEST_F(GateAuditTest, WhatNeedsNoTokenIsNotRecorded) {
    EXPECT_EQ(ask("GET", "/open").status, 200);
    EXPECT_THAT(types(), IsEmpty());
}

TEST_F(GateAuditTest, TooManyFailuresAreRecordedAsSuch) {
    for (int i = 0; i < 3; ++i) {
        ask("GET", "/look", "some-wrong-token");
    }
    ASSERT_EQ(audit_.events.size(), 4U);
    EXPECT_EQ(audit_.events.back().type(), "security.rate_limit_exceeded");
}

TEST_F(GateAuditTest, PathTraversalInARequestIsRecorded) {
    ASSERT_EQ(ask("POST", "/model", "token-for-everything").status, 400);
    EXPECT_THAT(types(), ElementsAre("auth.success", "security.path_traversal_attempt"));
}

TEST_F(GateAuditTest, WithoutARecordNothingIsChanged) {
    audit_.broken = true;
    const http::Response answer = ask("POST", "/change", "token-for-everything");
    EXPECT_EQ(answer.status, 503);
    const auto body = boost::json::parse(answer.body);
    EXPECT_EQ(body.at("error").at("code").as_string(), "AUDIT_UNAVAILABLE");
    EXPECT_EQ(ran_, 0) << "the action must not happen";
    EXPECT_EQ(ask("GET", "/look", "token-for-everything").status, 200);
    EXPECT_EQ(ask("GET", "/look", "some-wrong-token").status, 401) << "a refusal stays one";
    EXPECT_EQ(ask("POST", "/infer", "token-for-everything").status, 200);
    EXPECT_EQ(ask("POST", "/stream", "token-for-everything").status, 200);
}

TEST_F(StrictGateAuditTest, WithoutARecordThereIsNoInference) {
    audit_.broken = true;
    EXPECT_EQ(ask("POST", "/infer", "token-for-everything").status, 503);
    EXPECT_EQ(ask("POST", "/stream", "token-for-everything").status, 503);
    EXPECT_FALSE(began_) << "the handler must learn that nobody hears it";
    EXPECT_EQ(ran_, 2) << "it may begin: the wait overlaps the work";
}

TEST_F(StrictGateAuditTest, WithARecordAStreamBegins) {
    EXPECT_EQ(ask("POST", "/stream", "token-for-everything").status, 200);
    EXPECT_TRUE(began_);
}

} // namespace
} // namespace rbee::api
