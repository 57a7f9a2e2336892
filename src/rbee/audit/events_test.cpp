#include "rbee/audit/events.hpp"
#include "rbee/audit/resource_events.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace rbee::audit {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::string_view_literals;

constexpr auto escape = "a\x1b[31mb"sv;
constexpr auto crlf = "a\r\nforged line"sv;
constexpr auto nul = "a\0b"sv;
constexpr Actor alice{.user_id = "alice", .ip = "10.0.0.1", .auth_method = "bearer_token"};
constexpr Resource pool{.resource_type = "pool", .resource_id = "pool-1"};
const std::vector<std::string> some = {"infer", "models"};

json::object parsed(const Event& event) {
    return json::parse("{" + event.body() + "}").as_object();
}

/// One row of the tables "Library: audit-logging" of scenarios.md.
struct Row {
    const char* id;
    std::function<Event()> make;
    bool accepted;
};

class AuditLibrary : public ::testing::TestWithParam<Row> {};

TEST_P(AuditLibrary, row) {
    const Row& row = GetParam();
    const Event event = row.make();
    EXPECT_EQ(!event.fault().has_value(), row.accepted)
        << (event.fault() ? event.fault()->field + " " + event.fault()->rule : "");
    const json::object body = parsed(event); // whatever came in, what goes out is JSON
    EXPECT_EQ(body.at("event_type") == "audit.event_refused", !row.accepted);
    EXPECT_THAT(event.body(), Not(HasSubstr("\x1b")));
    EXPECT_THAT(event.body(), Not(HasSubstr("forged line")));
}

std::vector<Row> rows() {
    const auto user = [](std::string_view id) { return Actor{.user_id = id, .ip = "10.0.0.1"}; };
    std::vector<Row> out = {
        {"AE1", [] { return make_event(AuthSuccess{.actor = alice, .path = "/v1/models"}); }, true},
        {"AE2", [=] { return make_event(AuthSuccess{.actor = user(escape)}); }, false},
        {"AE3", [] { return make_event(AuthSuccess{.actor = alice, .path = crlf}); }, false},
        {"AE4", [] { return make_event(AuthFailure{.attempted_user = nul}); }, false},
        {"AE5", [] { return make_event(AuthFailure{.reason = "unknown token"}); }, true},
        {"AE6", [] { return make_event(AuthFailure{.reason = "a\nforged line"}); }, false},
        {"AZ1", [] { return make_event(AuthzGranted{alice, pool, "delete"}); }, true},
        {"AZ2", [] { return make_event(AuthzGranted{alice, pool, escape}); }, false},
        {"AZ3", [] { return make_event(AuthzDenied{alice, pool, "delete", "no right"}); }, true},
        {"AZ4", [] { return make_event(AuthzDenied{alice, pool, "delete", nul}); }, false},
        {"AZ5", [] { return make_event(PermissionChanged{alice, "bob", some, some}); }, true},
        {"AZ6", [] { return make_event(PermissionChanged{alice, crlf, some, some}); }, false},
        {"CO1", [] { return make_event(GdprAccessRequest{"c1", "alice", some}); }, true},
        {"CO2", [] { return make_event(GdprAccessRequest{"c1", escape, some}); }, false},
        {"CO3", [] { return make_event(GdprExport{"c1", some, "json", "ab12"}); }, true},
        {"CO4", [] { return make_event(GdprExport{"c1", some, nul, "ab12"}); }, false},
        {"CO5", [] { return make_event(GdprErasure{"c1", "2026-01-01T00:00:00Z", some}); }, true},
        {"CO6", [] { return make_event(GdprErasure{crlf, "2026-01-01T00:00:00Z", some}); }, false},
        {"DA1", [] { return make_event(InferenceExecuted{"c1", "j1", "tiny", 7}); }, true},
        {"DA2", [] { return make_event(InferenceExecuted{escape, "j1", "tiny", 7}); }, false},
        {"DA3", [] { return make_event(ModelAccessed{"c1", "tiny", "read"}); }, true},
        {"DA4", [] { return make_event(ModelAccessed{"c1", "tiny", nul}); }, false},
        {"DA5", [] { return make_event(DataDeleted{"c1", some, "asked for"}); }, true},
        {"DA6", [] { return make_event(DataDeleted{"c1", some, crlf}); }, false},
        {"SE1", [] { return make_event(AuthSuccess{.actor = alice}); }, true},
        {"SE2", [] { return make_event(PoolCreated{alice, "pool-1", "tiny", "node-1", 1}); }, true},
        {"SE3", [] { return make_event(VramSealed{"s1", 0, 4096, "ab12", "worker-1"}); }, true},
        {"SE4",
         [] { return make_event(PolicyViolation{.policy = "p", .details = "\"\\ \n \t ü €"}); },
         true},
    };
    const std::vector<Row> more = {
        {"FV1", [=] { return make_event(AuthSuccess{.actor = user(std::string(1024, 'u'))}); }, true
        },
        {"FV2",
         [=] { return make_event(AuthSuccess{.actor = user(std::string(2000, 'u'))}); },
         false},
        {"FV3",
         [] { return make_event(AuthSuccess{.actor = {.user_id = "a", .session_id = "s-1"}}); },
         true},
        {"FV4",
         [] { return make_event(AuthSuccess{.actor = {.user_id = "a", .session_id = escape}}); },
         false},
        {"FV5", [] { return make_event(PolicyViolation{.details = "one\ntwo"}); }, true},
        {"FV6", [=] { return make_event(AuthSuccess{.actor = user("a\u202Eb")}); }, false},
        {"NO1", [] { return make_event(NodeRegistered{alice, "node-1", 2, 48, some}); }, true},
        {"NO2", [] { return make_event(NodeRegistered{alice, escape, 2, 48, some}); }, false},
        {"NO3", [] { return make_event(NodeDeregistered{alice, "node-1", "gone", some}); }, true},
        {"NO4", [] { return make_event(NodeDeregistered{alice, nul, "gone", some}); }, false},
        {"NO5", [] { return make_event(NodeDeregistered{alice, "node-1", crlf, some}); }, false},
        {"RE1", [] { return make_event(PoolCreated{alice, "pool-1", "tiny", "n"}); }, true},
        {"RE2",
         [] { return make_event(PoolCreated{alice, "pool-../../../etc/passwd", "tiny", "n"}); },
         false},
        {"RE3", [] { return make_event(PoolCreated{alice, "pool-1", escape, "n"}); }, false},
        {"RE4", [] { return make_event(PoolDeleted{alice, "pool-1", "tiny", "n", "old"}); }, true},
        {"RE5", [] { return make_event(PoolDeleted{alice, "pool-1", "tiny", "n", crlf}); }, false},
        {"RE6", [] { return make_event(TaskSubmitted{alice, "t1", "tiny", 5, "ab12", 9}); }, true},
        {"RE7", [] { return make_event(TaskSubmitted{alice, nul, "tiny", 5, "ab12", 9}); }, false},
        {"SC1",
         [] { return make_event(PathTraversalAttempt{alice, "../../etc/passwd", "/v1/x"}); },
         true},
        {"SC2", [] { return make_event(InvalidTokenUsed{"10.0.0.1", "abc", escape}); }, false},
        {"SC3", [] { return make_event(PolicyViolation{.policy = "p", .details = "d"}); }, true},
        {"SC4", [] { return make_event(PolicyViolation{.policy = "p", .details = crlf}); }, false},
        {"SC5", [] { return make_event(PolicyViolation{.worker_id = nul}); }, false},
        {"TO1", [] { return make_event(TokenCreated{alice, "a1b2c3d4e5f6", some}); }, true},
        {"TO2", [] { return make_event(TokenCreated{alice, escape, some}); }, false},
        {"TO3", [] { return make_event(TokenRevoked{alice, "a1b2c3", "lost"}); }, true},
        {"TO4", [] { return make_event(TokenRevoked{alice, "a1b2c3", nul}); }, false},
        {"TO5", [] { return make_event(TokenRevoked{alice, "a1b2c3", crlf}); }, false},
        {"VR1", [] { return make_event(VramSealed{"s1", 0, 1, "ab", "w"}); }, true},
        {"VR2", [] { return make_event(VramSealed{escape, 0, 1, "ab", "w"}); }, false},
        {"VR3", [] { return make_event(VramAllocated{1, 1, 1, 1, 0, nul}); }, false},
        {"VR4", [] { return make_event(VramDeallocated{crlf, 1, 1, 0, "w"}); }, false},
    };
    out.insert(out.end(), more.begin(), more.end());
    return out;
}

INSTANTIATE_TEST_SUITE_P(Rows, AuditLibrary, ::testing::ValuesIn(rows()), [](const auto& info) {
    return std::string("ALIB_") + info.param.id;
});

TEST(AuditEvents, a_refused_event_still_says_what_is_known) {
    const json::object body = parsed(make_event(
        AuthFailure{.reason = "unknown token", .ip = "10.0.0.9", .path = "/v1/\x1b[2Jmodels"}
    ));
    EXPECT_EQ(body.at("event_type"), "audit.event_refused");
    const json::object& details = body.at("details").as_object();
    EXPECT_EQ(details.at("refused_type"), "auth.failure");
    EXPECT_EQ(details.at("field"), "path");
    EXPECT_EQ(details.at("rule"), "contains ANSI escape codes");
    EXPECT_EQ(details.at("ip"), "10.0.0.9");
    EXPECT_FALSE(details.contains("path"));
}

TEST(AuditEvents, queries_and_secrets_stay_out) {
    const Event event = make_event(AuthFailure{
        .reason = "unknown token", .ip = "10.0.0.9", .path = "/v1/models?api_key=sk-verysecret123"
    });
    EXPECT_FALSE(event.fault());
    EXPECT_EQ(parsed(event).at("details").at("path"), "/v1/models");
    const std::array<Change, 2> changes = {{
        {"auth.api_key", "hunter2hunter2", "hunter3hunter3"},
        {"server.port", "8080", "9000"},
    }};
    const Event reload = make_event(ConfigReloaded{alice, "SIGHUP", changes});
    EXPECT_THAT(reload.body(), Not(HasSubstr("hunter")));
    EXPECT_THAT(reload.body(), HasSubstr("server.port: 8080 -> 9000"));
}

TEST(AuditEvents, text_that_is_no_utf8_is_refused) {
    for (const std::string_view text : {"\xff"sv, "\xc0\xaf"sv, "\xed\xa0\x80"sv, "\xe2\x80"sv}) {
        EXPECT_TRUE(make_event(TokenRevoked{alice, "a1", text}).fault());
    }
    EXPECT_TRUE(make_event(TokenRevoked{alice, "a1", "a\u2028b"}).fault());
    EXPECT_FALSE(make_event(TokenRevoked{alice, "a1", "für €5 😀"}).fault());
}

TEST(AuditEvents, events_of_one_worker_have_its_facts) {
    const WorkerFacts worker{
        .actor = alice,
        .worker_id = "worker-1",
        .model_ref = "tiny",
        .backend = "cpu",
        .device = 0,
        .node = "localhost",
        .correlation_id = "c-1",
    };
    for (const Event& event :
         {make_event(WorkerStarted{worker, 42}),
          make_event(WorkerStopped{worker, "idle", true, "0"}),
          make_event(WorkerCrashed{worker, "SIGKILL", "exit"}),
          make_event(WorkerRestarted{worker, 43, 1, 1000}),
          make_event(WorkerForceKilled{worker, 42, "SIGKILL", "did not stop"})}) {
        const json::object body = parsed(event);
        EXPECT_EQ(body.at("actor"), "alice");
        EXPECT_EQ(body.at("correlation_id"), "c-1");
        EXPECT_EQ(body.at("details").at("worker_id"), "worker-1");
        EXPECT_EQ(body.at("details").at("node"), "localhost");
        EXPECT_EQ(event.kind(), EventClass::control);
    }
}

} // namespace
} // namespace rbee::audit
