#include "rbee/auth/token_file.hpp"
#include "rbee/auth/token_source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rbee::auth {
namespace {

class FindToken : public testing::Test {
protected:
    FindToken() : directory_(testing::TempDir() + "token-source-XXXXXX") {
        if (::mkdtemp(directory_.data()) == nullptr) {
            ADD_FAILURE() << directory_;
        }
    }
    ~FindToken() override { std::filesystem::remove_all(directory_); }

    std::string file(const std::string& name, const std::string& content) {
        std::string path = directory_ + "/" + name;
        std::ofstream(path) << content;
        using std::filesystem::perms;
        std::filesystem::permissions(path, perms::owner_read | perms::owner_write);
        return path;
    }

    Result<FoundToken> find(const std::string& path = {}) {
        TokenSources sources;
        sources.file = path;
        sources.environment = [this](std::string_view name) -> std::optional<std::string> {
            const auto found = variables_.find(name);
            return found == variables_.end() ? std::nullopt : std::optional(found->second);
        };
        sources.from_environment = Secret(sources.environment("LLORCH_API_TOKEN").value_or(""));
        return find_token(std::move(sources));
    }

    std::string directory_;
    std::map<std::string, std::string, std::less<>> variables_;
};

TEST_F(FindToken, ADescriptorThatWasHandedOverWinsAndIsReadToItsEnd) {
    const std::string path = file("flag", "from-flag");
    auto end = hand_over(Secret("handed-over-0123456789"));
    ASSERT_TRUE(end);
    TokenSources sources;
    sources.fd = end->release();
    sources.file = path;
    const auto found = find_token(std::move(sources));
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(found->token.expose(), "handed-over-0123456789");
    EXPECT_EQ(found->source, "--token-fd");
    EXPECT_EQ(found->path, "");
    EXPECT_FALSE(hand_over(Secret(std::string(10'000, 'x'))));
}

TEST_F(FindToken, TheFirstSourceWinsAndIsNamed) {
    auto found = find();
    EXPECT_TRUE(found->token.empty());
    EXPECT_EQ(found->source, "");

    variables_["LLORCH_API_TOKEN"] = "from-variable";
    found = find();
    EXPECT_EQ(found->token.expose(), "from-variable");
    EXPECT_EQ(found->source, "LLORCH_API_TOKEN");
    EXPECT_EQ(found->path, "");

    variables_["LLORCH_API_TOKEN_FILE"] = file("env", "from-env-file\n");
    found = find();
    EXPECT_EQ(found->token.expose(), "from-env-file");
    EXPECT_EQ(found->source, "LLORCH_API_TOKEN_FILE");
    EXPECT_EQ(found->path, directory_ + "/env");

    found = find(file("flag", "from-flag\n"));
    EXPECT_EQ(found->token.expose(), "from-flag");
    EXPECT_EQ(found->source, "--token-file");
    EXPECT_EQ(found->path, directory_ + "/flag");
}

TEST_F(FindToken, EmptyVariablesNameNothing) {
    variables_["LLORCH_API_TOKEN_FILE"] = "";
    variables_["LLORCH_API_TOKEN"] = "from-variable";
    EXPECT_EQ(find()->token.expose(), "from-variable");
}

TEST_F(FindToken, AFileThatCannotBeUsedIsAnErrorAndNotPassedOver) {
    variables_["LLORCH_API_TOKEN"] = "from-variable";
    EXPECT_EQ(find(directory_ + "/missing").error().code, Errc::not_found);
    variables_["LLORCH_API_TOKEN_FILE"] = directory_ + "/missing";
    EXPECT_EQ(find().error().code, Errc::not_found);
}

TEST(BindPolicy, OnlyLoopbackMayBeOpen) {
    const http::Endpoint everywhere{.host = "0.0.0.0", .port = 1, .unix_path = {}};
    const http::Endpoint local{.host = "127.0.0.1", .port = 1, .unix_path = {}};
    EXPECT_TRUE(check_bind(local, Secret()).has_value());
    EXPECT_TRUE(check_bind(local, Secret("short")).has_value());
    EXPECT_EQ(
        check_bind(everywhere, Secret()).error().what, "API token required for non-loopback bind"
    );
    const auto too_short = check_bind(everywhere, Secret("0123456789abcde"));
    ASSERT_FALSE(too_short.has_value());
    EXPECT_THAT(too_short.error().what, testing::HasSubstr("16 characters at least"));
    EXPECT_TRUE(check_bind(everywhere, Secret("0123456789abcdef")).has_value());
}

} // namespace
} // namespace rbee::auth
