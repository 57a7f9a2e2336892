#include "rbee/auth/bearer.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace rbee::auth {
namespace {

Verdict check(const Authenticator& authenticator, const std::string& header) {
    http::Headers headers;
    headers.add("Authorization", header);
    return authenticator.check(headers);
}

class Bearer : public testing::Test {
protected:
    Bearer() {
        authenticator_.accept(Secret(std::string("first-token-0123456789")));
        authenticator_.accept(Secret(std::string("!#$%&'*+.^_`|~:/?=@ second")));
    }
    Authenticator authenticator_;
};

TEST_F(Bearer, AcceptsEachTokenInAnySchemeCase) {
    for (const char* scheme : {"Bearer ", "bearer ", "BEARER "}) {
        EXPECT_TRUE(check(authenticator_, std::string(scheme) + "first-token-0123456789").allowed);
    }
    const auto verdict = check(authenticator_, "Bearer !#$%&'*+.^_`|~:/?=@ second");
    EXPECT_TRUE(verdict.allowed);
    EXPECT_EQ(verdict.actor.size(), std::string("token:123456").size());
}

TEST_F(Bearer, RefusalsNameTheirReason) {
    const auto missing = authenticator_.check({});
    EXPECT_EQ(missing.log_reason, "missing_header");
    EXPECT_EQ(missing.error.wire_code, "MISSING_API_KEY");
    EXPECT_EQ(check(authenticator_, "first-token-0123456789").log_reason, "invalid_format");
    EXPECT_EQ(check(authenticator_, "Bearer").log_reason, "empty_token");
    EXPECT_EQ(check(authenticator_, "Bearer ").log_reason, "empty_token");
    EXPECT_EQ(check(authenticator_, "Bearer  first-token-0123456789").log_reason, "invalid_format");
    EXPECT_EQ(check(authenticator_, "Bearer wrong").log_reason, "invalid_token");
    EXPECT_EQ(check(authenticator_, "Bearer wrong").error.wire_code, "INVALID_API_KEY");
    EXPECT_EQ(check(authenticator_, std::string(9000, 'x')).log_reason, "missing_header");
}

TEST_F(Bearer, TwoHeadersAreABadRequest) {
    http::Headers headers;
    headers.add("Authorization", "Bearer first-token-0123456789");
    headers.add("authorization", "Bearer first-token-0123456789");
    const auto verdict = authenticator_.check(headers);
    EXPECT_FALSE(verdict.allowed);
    EXPECT_EQ(verdict.error.code, Errc::invalid_argument);
}

TEST_F(Bearer, NothingSaysTheToken) {
    const auto verdict = check(authenticator_, "Bearer wrong-but-secret");
    EXPECT_FALSE(verdict.error.what.contains("secret"));
    EXPECT_FALSE(verdict.actor.contains("secret"));
}

class TokenFile : public testing::Test {
protected:
    TokenFile() {
        std::string pattern = testing::TempDir() + "rbee-token-XXXXXX";
        directory_ = ::mkdtemp(pattern.data());
        path_ = directory_ + "/token";
    }
    ~TokenFile() override { std::filesystem::remove_all(directory_); }

    Result<Secret> load(const std::string& content, mode_t mode = 0600) {
        std::ofstream(path_) << content;
        ::chmod(path_.c_str(), mode);
        return load_token_file(path_);
    }
    std::string directory_;
    std::string path_;
};

TEST_F(TokenFile, StoredTokensLoad) {
    const Secret token = make_token();
    EXPECT_EQ(token.expose().size(), 43U);
    ASSERT_TRUE(store_token_file(path_, token).has_value());
    struct stat info{};
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    EXPECT_EQ(load_token_file(path_)->expose(), token.expose());
}

TEST_F(TokenFile, TrailingNewlineIsNotPartOfTheToken) {
    EXPECT_EQ(load("abc\n")->expose(), "abc");
}

TEST_F(TokenFile, RefusesWhatIsUnsafeOrWrong) {
    EXPECT_TRUE(load("abc", 0644).error().what.contains("insecure permissions: 0644"));
    EXPECT_TRUE(load("abc", 0640).error().what.contains("0600"));
    EXPECT_TRUE(load("", 0600).error().what.contains("is empty"));
    EXPECT_TRUE(load(" \n", 0600).error().what.contains("only whitespace"));
    EXPECT_TRUE(load("one\ntwo\n", 0600).error().what.contains("exactly one line"));
    EXPECT_TRUE(load_token_file(directory_ + "/none").error().what.contains("not found"));
    EXPECT_TRUE(load_token_file(directory_).error().what.contains("regular file"));
    EXPECT_TRUE(load(std::string(2'000'000, 'a')).error().what.contains("1 MiB"));
}

} // namespace
} // namespace rbee::auth
