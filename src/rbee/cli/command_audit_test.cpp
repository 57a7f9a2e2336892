#include "rbee/api/json.hpp"
#include "rbee/audit/events.hpp"
#include "rbee/audit/files.hpp"
#include "rbee/audit/writer.hpp"
#include "rbee/cli/fake_queen_test.hpp"
#include "rbee/cli/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace rbee::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
    int code;
    std::string out;
    std::string err;
};

class AuditCommands : public ::testing::Test {
protected:
    [[nodiscard]] std::string base() const { return (folder_.path() / "audit").string(); }
    [[nodiscard]] std::string log() const { return base() + "/queen-rbee"; }

    Outcome run(const std::vector<std::string>& arguments) {
        testing::CapturedConsole captured;
        std::istringstream stream;
        const Environment environment(
            {{"RBEE_HOME", (folder_.path() / "home").string()},
             {"HOME", folder_.path().string()},
             {"LLORCH_AUDIT_DIR", base()}}
        );
        const int code = run_program(arguments, environment, captured.console, stream);
        return {code, captured.out, captured.err};
    }
    void fill() {
        audit::WriterOptions options;
        options.journal.service = "queen-rbee";
        auto made = audit::open_log(base(), options, std::make_shared<SystemClock>(), {});
        ASSERT_TRUE(made) << made.error().what;
        for (const char* id : {"c-1", "c-2"}) {
            (*made)->record(audit::make_event(audit::AuthSuccess{
                .actor = {.user_id = "token:a1b2c3"}, .path = "/v1/models", .correlation_id = id
            }));
        }
        (*made)->record(
            audit::make_event(audit::AuthFailure{.reason = "unknown token", .ip = "10.0.0.9"})
        );
    }
    testing::TemporaryFolder folder_;
};

TEST_F(AuditCommands, verify_says_ok_and_names_what_was_changed) {
    fill();
    const auto good = run({"audit", "verify"});
    EXPECT_EQ(good.code, 0) << good.err;
    EXPECT_THAT(good.out, HasSubstr("5 records in 1 segments"));

    const std::string file = log() + "/" + audit::list_log(log())->segments.front().file();
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    std::string content = text.str();
    content.replace(content.find("c-1"), 3, "c-9");
    std::ofstream(file, std::ios::trunc) << content;
    const auto bad = run({"audit", "verify"});
    EXPECT_EQ(bad.code, 2);
    EXPECT_THAT(bad.out, HasSubstr("first bad record: audit-queen-rbee-0000000000000002"));
    EXPECT_THAT(bad.out, HasSubstr("3 records behind it prove nothing"));
    const auto report = api::parse_object(run({"audit", "verify", "--json"}).out);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->at("exit_code"), 2);
    EXPECT_EQ(report->at("logs").as_array().at(0).at("verdict"), "tampered");
}

TEST_F(AuditCommands, init_prints_the_key_once_and_verify_uses_it) {
    const auto made = run({"audit", "init", "--service", "queen-rbee"});
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_THAT(made.out, ::testing::MatchesRegex("rbee-audit-key-[0-9a-f]{16}-[0-9a-f]{64}\n"));
    EXPECT_EQ(run({"audit", "init", "--service", "queen-rbee"}).code, 1);
    fill();
    const std::string key = (folder_.path() / "key").string();
    std::ofstream(key) << made.out;
    const auto checked =
        run({"audit", "verify", "--service", "queen-rbee", "--key-file", key, "--json"});
    EXPECT_EQ(checked.code, 0) << checked.out;
    EXPECT_THAT(checked.out, HasSubstr("\"macs_checked\":5"));
    EXPECT_THAT(run({"audit", "verify"}).out, HasSubstr("not checked"));
}

TEST_F(AuditCommands, show_and_tail_filter) {
    fill();
    const auto one = run({"audit", "show", "--correlation-id", "c-2"});
    EXPECT_EQ(one.code, 0) << one.err;
    EXPECT_THAT(one.out, HasSubstr("auth.success"));
    EXPECT_THAT(one.out, Not(HasSubstr("c-1")));
    const auto type = run({"audit", "show", "--type", "auth.*", "--since", "1h", "--json"});
    EXPECT_EQ(std::ranges::count(type.out, '\n'), 3);
    EXPECT_EQ(run({"audit", "show", "--actor", "nobody"}).out, "");
    EXPECT_EQ(run({"audit", "show", "--until", "2020-01-01T00:00:00Z"}).out, "");
    EXPECT_EQ(run({"audit", "show", "--since", "soon"}).code, 1);
    const auto tail = run({"audit", "tail", "-n", "2"});
    EXPECT_EQ(std::ranges::count(tail.out, '\n'), 2);
    EXPECT_THAT(tail.out, HasSubstr("audit.stop"));
}

TEST_F(AuditCommands, without_a_log_it_says_where_it_looked) {
    const auto none = run({"audit", "verify"});
    EXPECT_EQ(none.code, 1);
    EXPECT_THAT(none.err, HasSubstr(base()));
}

} // namespace
} // namespace rbee::cli
