#include "rbee/api/json.hpp"
#include "rbee/auth/token_store.hpp"
#include "rbee/cli/fake_queen_test.hpp"
#include "rbee/cli/options.hpp"
#include "rbee/cli/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
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

class TokenCommands : public ::testing::Test {
protected:
    Outcome run(const std::vector<std::string>& arguments) {
        testing::CapturedConsole captured;
        std::istringstream stream;
        const Environment environment(
            {{"RBEE_HOME", (folder_.path() / "home").string()}, {"HOME", folder_.path().string()}}
        );
        const int code = run_program(arguments, environment, captured.console, stream);
        return {code, captured.out, captured.err};
    }
    [[nodiscard]] Result<auth::TokenSet> stored() const {
        return auth::read_tokens((folder_.path() / "home" / "tokens.toml").string());
    }
    testing::TemporaryFolder folder_;
};

TEST_F(TokenCommands, new_prints_a_token_once_and_keeps_its_digest) {
    const auto made = run({"token", "new", "laptop"});
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_THAT(made.out, ::testing::MatchesRegex("rbee_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\n"));
    EXPECT_THAT(made.err, HasSubstr("cannot be shown again"));
    const auto tokens = stored();
    ASSERT_TRUE(tokens) << tokens.error().what;
    ASSERT_EQ(tokens->records().size(), 1U);
    EXPECT_EQ(tokens->records()[0].digest, sha256(made.out.substr(0, made.out.size() - 1)));
    EXPECT_EQ(tokens->records()[0].scopes.to_string(), "infer,models");
    EXPECT_FALSE(tokens->records()[0].expires);

    const auto list = run({"token", "list"});
    EXPECT_THAT(list.out, HasSubstr("laptop"));
    EXPECT_THAT(list.out, HasSubstr("never"));
    EXPECT_THAT(list.out, Not(HasSubstr(made.out.substr(0, 20))));
}

TEST_F(TokenCommands, json_has_everything_and_revoking_forgets_it) {
    const auto made =
        run({"token", "new", "ci", "--scopes", "metrics,models", "--expires", "30d", "--json"});
    ASSERT_EQ(made.code, 0) << made.err;
    const auto object = api::parse_object(made.out);
    ASSERT_TRUE(object);
    EXPECT_EQ(object->at("name"), "ci");
    EXPECT_TRUE(object->at("token").as_string().starts_with("rbee_"));
    EXPECT_EQ(object->at("scopes").as_array().size(), 2U);
    const auto tokens = stored();
    ASSERT_TRUE(tokens);
    EXPECT_EQ(*tokens->records()[0].expires - *tokens->records()[0].created, std::chrono::days(30));

    const auto list = api::parse_object(run({"token", "list", "--json"}).out);
    ASSERT_TRUE(list);
    const auto& row = list->at("tokens").as_array().at(0).as_object();
    EXPECT_TRUE(row.at("fingerprint").as_string().starts_with("token:"));
    EXPECT_FALSE(row.contains("token"));

    EXPECT_EQ(run({"token", "revoke", "ci"}).out, "revoked ci\n");
    EXPECT_TRUE(stored()->empty());
    const auto again = run({"token", "revoke", "ci"});
    EXPECT_EQ(again.code, 1);
    EXPECT_THAT(again.err, HasSubstr("rbee token list"));
}

TEST_F(TokenCommands, mistakes_are_named_and_nothing_is_written) {
    for (const auto& wrong : std::vector<std::vector<std::string>>{
             {"token"},
             {"token", "new"},
             {"token", "new", "a b"},
             {"token", "new", "main"},
             {"token", "new", "x", "--scopes", "root"},
             {"token", "new", "x", "--scopes", ""},
             {"token", "new", "x", "--expires", "soon"},
             {"token", "new", "x", "--expires", "0d"},
             {"token", "revoke"},
         }) {
        const auto outcome = run(wrong);
        EXPECT_EQ(outcome.code, 1);
        EXPECT_NE(outcome.err, "");
        EXPECT_EQ(outcome.out, "");
    }
    EXPECT_FALSE(stored());
    EXPECT_EQ(run({"token", "list"}).code, 0);
    EXPECT_EQ(run({"token", "new", "x"}).code, 0);
    EXPECT_EQ(run({"token", "new", "x"}).code, 1); // taken
    EXPECT_THAT(run({"token", "--help"}).out, HasSubstr("revoke"));
}

TEST(Lifetime, is_a_number_with_a_unit) {
    EXPECT_EQ(parse_lifetime("90s"), std::chrono::seconds(90));
    EXPECT_EQ(parse_lifetime("15m"), std::chrono::minutes(15));
    EXPECT_EQ(parse_lifetime("12h"), std::chrono::hours(12));
    EXPECT_EQ(parse_lifetime("2w"), std::chrono::days(14));
    for (const char* wrong : {"", "d", "30", "-1d", "1.5d", "9999999999w", "1y", "0s"}) {
        EXPECT_FALSE(parse_lifetime(wrong)) << wrong;
    }
}

} // namespace
} // namespace rbee::cli
