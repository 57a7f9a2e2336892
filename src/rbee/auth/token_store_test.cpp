#include "rbee/auth/token_file.hpp"
#include "rbee/auth/token_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/temp_dir.hpp"

namespace rbee::auth {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr WallTime created{std::chrono::seconds(1'767'225'600)};

TokenRecord record(std::string name, std::string token, Scopes scopes = {Scope::infer}) {
    TokenRecord out = make_record(std::move(name), Secret(std::move(token)), scopes);
    out.created = created;
    return out;
}

bool knows(const Authenticator& authenticator, const std::string& token) {
    http::RequestHead head;
    head.headers.add("Authorization", "Bearer " + token);
    return authenticator.check(head, created).allowed;
}

class TokenStore : public testing::Test {
protected:
    std::string path_of(const std::string& name) { return folder_ / name; }
    void write(const std::string& path, std::string_view content) {
        std::ofstream(path) << content;
        EXPECT_EQ(::chmod(path.c_str(), 0600), 0);
    }
    test::TempDir folder_;
    std::string path_ = folder_ / "tokens.toml";
};

TEST_F(TokenStore, KeepsDigestsAndNothingElse) {
    TokenRecord with_end = record("ci", "token-of-the-ci-server", {Scope::models, Scope::infer});
    with_end.expires = created + 30 * 24h;
    ASSERT_TRUE(add_token(path_, record("laptop", "token-of-my-laptop")));
    ASSERT_TRUE(add_token(path_, with_end));
    std::ifstream file(path_);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_THAT(text, Not(HasSubstr("token-of")));
    EXPECT_THAT(text, HasSubstr("scopes = [\"infer\", \"models\"]"));
    EXPECT_THAT(text, HasSubstr("expires = \"2026-01-31T00:00:00.000Z\""));
    struct stat info{};
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);

    const auto read = read_tokens(path_);
    ASSERT_EQ(read->records().size(), 2U);
    EXPECT_EQ(read->records()[1].name, "ci");
    EXPECT_EQ(read->records()[1].digest, with_end.digest);
    EXPECT_EQ(read->records()[1].scopes, with_end.scopes);
    EXPECT_EQ(read->records()[1].expires, with_end.expires);
    EXPECT_EQ(read->records()[0].expires, std::nullopt);
    EXPECT_EQ(format_tokens(*read), text);
}

TEST_F(TokenStore, NamesAreUniqueAndRemoved) {
    ASSERT_TRUE(add_token(path_, record("laptop", "token-of-my-laptop")));
    EXPECT_EQ(add_token(path_, record("laptop", "another-token")).error().code, Errc::conflict);
    EXPECT_EQ(remove_token(path_, "phone").error().code, Errc::not_found);
    ASSERT_TRUE(remove_token(path_, "laptop"));
    EXPECT_TRUE(read_tokens(path_)->empty());
    for (const char* name : {"", "a b", "a\"b", "main", "dev", "\n"}) {
        EXPECT_FALSE(add_token(path_, record(name, "some-token"))) << name;
    }
    EXPECT_FALSE(add_token(path_, record(std::string(65, 'a'), "some-token")));
}

TEST_F(TokenStore, WritersWaitForEachOther) {
    std::vector<std::jthread> writers;
    for (int i = 0; i < 8; ++i) {
        writers.emplace_back([&, i] {
            for (int j = 0; j < 5; ++j) {
                const std::string name = "t" + std::to_string(i) + "-" + std::to_string(j);
                EXPECT_TRUE(add_token(path_, record(name, "token " + name)));
            }
        });
    }
    writers.clear();
    EXPECT_EQ(read_tokens(path_)->records().size(), 40U);
}

TEST_F(TokenStore, HalfAFileNeverCounts) {
    const std::string good = format_tokens(TokenSet({record("a", "token-a")}));
    EXPECT_TRUE(parse_tokens(good, "t"));
    EXPECT_TRUE(parse_tokens("", "t")->empty());
    const std::string digest(64, '0');
    const std::string head = "[[token]]\nname = \"b\"\n";
    for (const std::string& wrong : {
             good + good,
             good + head,
             good + head + "scopes = [\"infer\"]\nsha256 = \"12\"\n",
             good + head + "scopes = [\"infer\"]\nsha256 = \"" + digest.substr(1) + "g\"\n",
             good + head + "scopes = [\"infer\"]\nsha256 = \"" + digest.substr(1) + " \"\n",
             good + head + "scopes = []\nsha256 = \"" + digest + "\"\n",
             good + head + "scopes = [\"root\"]\nsha256 = \"" + digest + "\"\n",
             good + head + "scopes = \"infer\"\nsha256 = \"" + digest + "\"\n",
             good + head + "scopes = [\"infer\"]\nsha256 = \"" + digest +
                 "\"\nexpires = \"soon\"\n",
             good + head + "scopes = [\"infer\"]\nsha256 = \"" + digest + "\"\nscope = 1\n",
             good + head + "scopes = [\"infer\"]\nsha256 = \"" + digest +
                 "\"\nexpires = \"2261-12-31T23:59:59-23:59\"\n",
             good + head + "scopes = [\"infer\"]\nsha256 = \"" + digest +
                 "\"\nexpires = \"1969-12-31T23:59:59.5Z\"\n",
             good + "x = 1\n[other]\ny = 1\n",
             std::string("token = 5\n"),
             std::string("[[token"),
         }) {
        const auto parsed = parse_tokens(wrong, "tokens.toml");
        ASSERT_FALSE(parsed) << wrong;
        EXPECT_THAT(parsed.error().what, HasSubstr("tokens.toml"));
    }
}

TEST_F(TokenStore, SEC_012_LoadingSwapsAllOrNothing) {
    const std::string own = path_of("own");
    ASSERT_TRUE(store_token_file(own, Secret("first-own-token")));
    ASSERT_TRUE(add_token(path_, record("laptop", "token-of-my-laptop")));
    Authenticator authenticator;
    const TokenFiles files{.own = own, .named = path_, .named_required = true};
    auto loaded = load_tokens(authenticator, files, Secret());
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->named, 1U);
    EXPECT_TRUE(knows(authenticator, "first-own-token"));
    EXPECT_TRUE(knows(authenticator, "token-of-my-laptop"));

    ASSERT_TRUE(store_token_file(own, Secret("second-own-token")));
    write(path_, "[[token");
    EXPECT_FALSE(load_tokens(authenticator, files, loaded->own));
    EXPECT_TRUE(knows(authenticator, "first-own-token")) << "nothing may change on an error";
    EXPECT_FALSE(knows(authenticator, "second-own-token"));

    write(path_, format_tokens(TokenSet({record("phone", "token-of-my-phone")})));
    const auto again = load_tokens(authenticator, files, loaded->own);
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->own_changed);
    EXPECT_EQ(again->own.expose(), "second-own-token");
    EXPECT_FALSE(knows(authenticator, "first-own-token"));
    EXPECT_TRUE(knows(authenticator, "second-own-token"));
    EXPECT_FALSE(knows(authenticator, "token-of-my-laptop"));
    EXPECT_TRUE(knows(authenticator, "token-of-my-phone"));
    EXPECT_FALSE(load_tokens(authenticator, files, again->own)->own_changed);
}

TEST_F(TokenStore, WithoutAnyTokenItStaysOpenAndAVanishedFileNeverOpensIt) {
    Authenticator authenticator;
    const TokenFiles files{.own = {}, .named = path_};
    ASSERT_TRUE(load_tokens(authenticator, files, Secret()));
    EXPECT_TRUE(authenticator.open());
    ASSERT_TRUE(add_token(path_, record("laptop", "token-of-my-laptop")));
    ASSERT_TRUE(load_tokens(authenticator, files, Secret()));
    EXPECT_FALSE(authenticator.open());
    std::filesystem::remove(path_);
    ASSERT_TRUE(load_tokens(authenticator, files, Secret()));
    EXPECT_FALSE(authenticator.open());
    EXPECT_FALSE(knows(authenticator, "token-of-my-laptop"));
    EXPECT_FALSE(
        load_tokens(authenticator, {.own = {}, .named = path_, .named_required = true}, Secret())
    );
    EXPECT_FALSE(load_tokens(authenticator, {.own = path_of("none"), .named = {}}, Secret()));
}

} // namespace
} // namespace rbee::auth
