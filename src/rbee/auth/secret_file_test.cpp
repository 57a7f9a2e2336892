#include "rbee/auth/key.hpp"
#include "rbee/auth/secret_file.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/auth/token_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/memory_scan.hpp"
#include "support/temp_dir.hpp"

namespace rbee::auth {
namespace {

using testing::HasSubstr;
using testing::Not;

class Files : public testing::Test {
protected:
    std::string write(const std::string& name, std::string_view content, mode_t mode = 0600) {
        std::string path = folder_ / name;
        std::ofstream(path) << content;
        EXPECT_EQ(::chmod(path.c_str(), mode), 0);
        return path;
    }
    std::string error_of_token(std::string_view content, mode_t mode = 0600) {
        const auto loaded = load_token_file(write("token", content, mode));
        EXPECT_FALSE(loaded.has_value());
        return loaded ? "" : loaded.error().what;
    }
    test::TempDir folder_;
};

TEST_F(Files, SLIB_FL1_SEC_001_SEC_014_APrivateFileLoadsWithoutItsLineEnd) {
    EXPECT_EQ(load_token_file(write("a", "abc\n"))->expose(), "abc");
    EXPECT_EQ(load_token_file(write("b", "  abc\r\n", 0400))->expose(), "abc");
}

TEST_F(Files, SLIB_FL2_FL3_SEC_002_SEC_003_OthersMustNotReadIt) {
    for (const mode_t mode : {0644U, 0640U, 0604U, 0660U, 0610U}) {
        const std::string what = error_of_token("the-secret", mode);
        EXPECT_THAT(what, HasSubstr("Failed to load API token: Secret file has insecure"));
        EXPECT_THAT(what, HasSubstr("Expected: 0600 (owner read/write only)"));
        EXPECT_THAT(what, HasSubstr("chmod 600"));
        EXPECT_THAT(what, Not(HasSubstr("the-secret"))) << "SEC_010";
    }
    EXPECT_THAT(error_of_token("x", 0644), HasSubstr("insecure permissions: 0644"));
}

TEST_F(Files, SLIB_FL4_SEC_015_SEC_016_SEC_017_EmptyBlankAndLongFilesHaveTheirOwnTexts) {
    EXPECT_THAT(error_of_token(""), HasSubstr("is empty"));
    EXPECT_THAT(error_of_token(" \n\t"), HasSubstr("contains only whitespace"));
    EXPECT_THAT(error_of_token("one\ntwo\n"), HasSubstr("must contain exactly one line"));
    EXPECT_THAT(error_of_token(std::string_view("a\0b", 3)), HasSubstr("null byte"));
}

TEST_F(Files, SLIB_FL7_TooLargeFilesAreRefused) {
    EXPECT_THAT(error_of_token(std::string(2'000'000, 'a')), HasSubstr("1 MiB"));
    EXPECT_THAT(error_of_token(std::string(1024 * 1024 + 1, 'a')), HasSubstr("1 MiB"));
    EXPECT_EQ(load_token_file(write("max", std::string(1024 * 1024, 'a')))->size(), 1024 * 1024U);
}

TEST_F(Files, SEC_007_SEC_010_AMissingFileIsNamed) {
    const auto missing = load_token_file(folder_ / "none");
    EXPECT_EQ(missing.error().code, Errc::not_found);
    EXPECT_EQ(
        missing.error().what,
        "Failed to load API token: API token file not found: " + (folder_ / "none")
    );
}

TEST_F(Files, SLIB_SE4_WhatIsNoRegularFileIsNeverRead) {
    EXPECT_THAT(load_token_file(folder_.path()).error().what, HasSubstr("not a regular file"));
    const std::string fifo = folder_ / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_THAT(load_token_file(fifo).error().what, HasSubstr("not a regular file")); // no hang
    EXPECT_THAT(load_token_file("/dev/null").error().what, HasSubstr("not a regular file"));
}

TEST_F(Files, SLIB_SE5_SymlinksAreFollowedAndTheTargetIsChecked) {
    const std::string link = folder_ / "link";
    std::filesystem::create_symlink(write("open", "abc", 0644), link);
    EXPECT_THAT(load_token_file(link).error().what, HasSubstr("0644"));
    std::filesystem::remove(link);
    std::filesystem::create_symlink(write("closed", "abc"), link);
    EXPECT_EQ(load_token_file(link)->expose(), "abc");
}

TEST_F(Files, SLIB_FL5_DotDotIsFineInsideTheRootAndRefusedOutsideOfIt) {
    std::filesystem::create_directories(folder_ / "root/inner");
    write("root/secret", "abc");
    write("outside", "abc");
    const SecretFileRules rules{.root = folder_ / "root"};
    const std::string inside = folder_ / "root/inner/../secret";
    EXPECT_EQ(read_secret_file(inside, rules)->expose(), "abc");
    const auto refused = read_secret_file(folder_ / "root/../outside", rules);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::forbidden);
    std::filesystem::create_symlink(folder_ / "outside", folder_ / "root/link");
    EXPECT_EQ(read_secret_file(folder_ / "root/link", rules).error().code, Errc::forbidden);
}

TEST_F(Files, AFileOfSomebodyElseIsRefused) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root can give files away";
    }
    const std::string path = write("theirs", "abc");
    ASSERT_EQ(::chown(path.c_str(), 12345, 0), 0);
    EXPECT_THAT(load_token_file(path).error().what, HasSubstr("belongs to another user"));
}

TEST_F(Files, StoringReplacesTheFileWithAPrivateOne) {
    const std::string path = write("token", "old", 0644);
    ASSERT_TRUE(store_token_file(path, Secret::copy_of("new-token")).has_value());
    struct stat info{};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    EXPECT_EQ(load_token_file(path)->expose(), "new-token");
}

TEST_F(Files, SEC_005_LoadingLeavesNoCopyInMemory) {
    test::Needle needle(32);
    const std::string path = folder_ / "token";
    {
        const Secret token = needle.make_secret();
        ASSERT_TRUE(store_token_file(path, token).has_value());
    }
    {
        const auto loaded = load_token_file(path);
        ASSERT_TRUE(loaded.has_value());
        EXPECT_TRUE(needle.is_in(loaded->expose()));
        EXPECT_TRUE(test::memory_contains(needle));
    }
    EXPECT_FALSE(test::memory_contains(needle));
}

TEST_F(Files, AKeyFileHolds64HexadecimalDigits) {
    const std::string hex = "00ff10Ab" + std::string(56, '7');
    const auto key = load_key_file(write("key", hex + "\n"));
    ASSERT_TRUE(key.has_value());
    EXPECT_EQ(key->size(), 32U);
    EXPECT_EQ(key->expose().substr(0, 4), std::string_view("\x00\xff\x10\xab", 4));
    EXPECT_FALSE(load_key_file(write("key", hex + "0")));
    EXPECT_FALSE(load_key_file(write("key", hex.substr(1) + "g")));
    EXPECT_EQ(load_key_file(write("key", std::string(1025, ' '))).error().code, Errc::too_large);
    EXPECT_EQ(load_key_file(write("key", hex, 0640)).error().code, Errc::forbidden);
}

TEST(DeriveKey, SLIB_KD1_KD2_KD3_IsDeterministicAndForOnePurpose) {
    const Secret token("a-token-of-the-queen");
    const auto key = derive_key(token, "llorch-seal-key-v1");
    EXPECT_EQ(key->size(), 32U);
    EXPECT_TRUE(key->equals(derive_key(token, "llorch-seal-key-v1")->expose()));
    EXPECT_FALSE(key->equals(derive_key(token, "llorch-encryption-v1")->expose()));
    EXPECT_FALSE(key->equals(token.expose()));
}

TEST(DeriveKey, SEC_006_FollowsRfc5869) {
    // Test case 1 of RFC 5869, appendix A; the first 32 of its 42 bytes.
    const Secret material(std::string(22, '\x0b'));
    const std::string salt("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c", 13);
    const std::string info("\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", 10);
    const auto key = derive_key(material, info, salt);
    EXPECT_EQ(
        key->expose(),
        std::string_view(
            "\x3c\xb2\x5f\x25\xfa\xac\xd5\x7a\x90\x43\x4f\x64\xd0\x36\x2f\x2a"
            "\x2d\x2d\x0a\x90\xcf\x1a\x5a\x4c\x5d\xb0\x2d\x56\xec\xc4\xc5\xbf",
            32
        )
    );
    EXPECT_FALSE(key->equals(derive_key(material, info)->expose()));
}

TEST(DeriveKey, SLIB_KD4_KD5_AnEmptyTokenOrDomainIsRefused) {
    EXPECT_EQ(derive_key(Secret(), "domain").error().code, Errc::invalid_argument);
    EXPECT_EQ(derive_key(Secret("token"), "").error().code, Errc::invalid_argument);
}

class Sources : public Files {
protected:
    Result<FoundToken> find(TokenSources sources = {}) {
        sources.environment = [this](std::string_view name) -> std::optional<std::string> {
            const auto found = variables_.find(std::string(name));
            return found == variables_.end() ? std::nullopt : std::optional(found->second);
        };
        return find_token(std::move(sources));
    }
    std::map<std::string, std::string> variables_;
};

TEST_F(Sources, SEC_004_TheFirstSourceWins) {
    EXPECT_TRUE(find()->token.empty());
    EXPECT_EQ(find()->source, "");

    TokenSources home;
    home.home_file = write("home", "from-home-0123456789");
    EXPECT_EQ(find(std::move(home))->token.expose(), "from-home-0123456789");
    TokenSources none;
    none.home_file = folder_ / "not-there";
    EXPECT_TRUE(find(std::move(none))->token.empty());

    const auto with_variable = [&] {
        TokenSources out;
        out.home_file = folder_ / "home";
        out.from_environment = Secret("from-variable-0123456789");
        return out;
    };
    auto found = find(with_variable());
    EXPECT_EQ(found->token.expose(), "from-variable-0123456789");
    EXPECT_THAT(found->warnings, testing::ElementsAre(HasSubstr("deprecated")));

    variables_["LLORCH_API_TOKEN_FILE"] = write("env", "from-env-file-0123456789");
    found = find(with_variable());
    EXPECT_EQ(found->token.expose(), "from-env-file-0123456789");
    EXPECT_EQ(found->path, folder_ / "env");
    EXPECT_TRUE(found->warnings.empty());

    variables_["CREDENTIALS_DIRECTORY"] = folder_.path();
    EXPECT_EQ(find()->source, "LLORCH_API_TOKEN_FILE"); // systemd passes other credentials only
    write("api_token", "from-systemd-0123456789", 0400);
    found = find(with_variable());
    EXPECT_EQ(found->token.expose(), "from-systemd-0123456789");
    EXPECT_EQ(found->source, "systemd credential");

    TokenSources flag = with_variable();
    flag.file = write("flag", "from-flag-0123456789");
    EXPECT_EQ(find(std::move(flag))->source, "--token-file");
}

TEST_F(Sources, ADescriptorWinsAndIsClosed) {
    int ends[2] = {};
    ASSERT_EQ(::pipe(ends), 0);
    ASSERT_EQ(::write(ends[1], "from-parent-0123456789\n", 23), 23);
    ::close(ends[1]);
    TokenSources sources;
    sources.fd = ends[0];
    sources.file = folder_ / "not-even-read";
    const auto found = find(std::move(sources));
    EXPECT_EQ(found->token.expose(), "from-parent-0123456789");
    EXPECT_EQ(found->path, "");
    char byte = 0;
    EXPECT_EQ(::read(ends[0], &byte, 1), -1); // NOLINT: closed by find()
}

TEST_F(Sources, ASourceThatIsNamedButUnusableIsAnError) {
    variables_["LLORCH_API_TOKEN_FILE"] = folder_ / "missing";
    TokenSources sources;
    sources.from_environment = Secret("from-variable-0123456789");
    EXPECT_EQ(find(std::move(sources)).error().code, Errc::not_found);
    variables_["CREDENTIALS_DIRECTORY"] = folder_.path();
    write("api_token", "x", 0644);
    EXPECT_EQ(find().error().code, Errc::forbidden);
}

TEST_F(Sources, ShortTokensAreWarnedAboutAndIncompleteOnesRefused) {
    TokenSources sources;
    sources.file = write("short", "15-characters--");
    EXPECT_THAT(
        find(std::move(sources))->warnings, testing::ElementsAre(HasSubstr("fewer than 16"))
    );
    TokenSources broken;
    broken.file = write("broken", "rbee_truncatedtoken");
    const auto refused = find(std::move(broken));
    EXPECT_THAT(refused.error().what, HasSubstr("starts with rbee_"));
    EXPECT_THAT(refused.error().what, Not(HasSubstr("truncatedtoken")));
}

TEST_F(Sources, SLIB_FL6_FL8_FL9_CredentialsHaveANameAndAnAbsoluteFolder) {
    const auto path_of = [this](std::string_view name) {
        return credential_path(
            [this](std::string_view variable) -> std::optional<std::string> {
                const auto found = variables_.find(std::string(variable));
                return found == variables_.end() ? std::nullopt : std::optional(found->second);
            },
            name
        );
    };
    EXPECT_EQ(path_of("api_token").error().code, Errc::not_found);
    variables_["CREDENTIALS_DIRECTORY"] = "/run/credentials/queen.service";
    EXPECT_EQ(path_of("api_token").value(), "/run/credentials/queen.service/api_token");
    EXPECT_TRUE(path_of("A-z_09"));
    for (const char* name : {"api@token", "../api_token", "a/b", "", "a.b"}) {
        EXPECT_EQ(path_of(name).error().code, Errc::invalid_argument) << name;
    }
    variables_["CREDENTIALS_DIRECTORY"] = "credentials";
    EXPECT_EQ(path_of("api_token").error().code, Errc::invalid_argument);
    EXPECT_EQ(find().error().code, Errc::invalid_argument);
}

TEST(TakeFromEnvironment, OverwritesTheBytesWhereTheyLie) {
    std::string first = "OTHER=1";
    std::string variable = "RBEE_TEST_TOKEN=the-secret-value";
    std::vector<char*> block = {first.data(), variable.data(), nullptr};
    const Secret token = take_from_environment(block.data(), "RBEE_TEST_TOKEN");
    EXPECT_EQ(token.expose(), "the-secret-value");
    EXPECT_EQ(variable, "RBEE_TEST_TOKEN=" + std::string(16, '\0'));
    EXPECT_EQ(first, "OTHER=1");
    EXPECT_TRUE(take_from_environment(block.data(), "RBEE_TEST").empty());
}

TEST(BindPolicy, AUTH_005_AUTH_006_OnlyLoopbackMayDoWithoutAToken) {
    const auto at = [](std::string host) {
        return http::Endpoint{.host = std::move(host), .port = 1, .unix_path = {}};
    };
    for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"}) {
        EXPECT_TRUE(check_bind(at(host), Secret())) << host;
    }
    EXPECT_TRUE(check_bind({.host = {}, .port = 0, .unix_path = "/run/x.sock"}, Secret()));
    for (const char* host : {"0.0.0.0", "::", "192.168.1.5", "::ffff:10.0.0.1", "127.0.0.1.x"}) {
        const auto refused = check_bind(at(host), Secret());
        ASSERT_FALSE(refused) << host;
        EXPECT_EQ(refused.error().what, "API token required for non-loopback bind");
        EXPECT_FALSE(check_bind(at(host), Secret("15-characters--"))) << host;
        EXPECT_TRUE(check_bind(at(host), Secret("16-characters---"))) << host;
    }
}

} // namespace
} // namespace rbee::auth
