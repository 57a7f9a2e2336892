#include "rbee/auth/token_file.hpp"
#include "rbee/auth/token_keeper.hpp"
#include "rbee/auth/token_store.hpp"
#include "rbee/telemetry/log_capture.hpp"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rbee::auth {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view first = "first-token-0123456789";
constexpr std::string_view second = "second-token-0123456789";

class TokenKeeperTest : public testing::Test {
protected:
    TokenKeeperTest() {
        std::string pattern = testing::TempDir() + "rbee-keeper-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        write("own", first);
        write("outgoing", "outgoing-token-0123456789");
    }
    ~TokenKeeperTest() override { fs::remove_all(folder_); }

    void write(const std::string& name, std::string_view token) const {
        ASSERT_TRUE(store_token_file(folder_ / name, Secret::copy_of(token)));
    }

    TokenKeeper make(const std::string& outgoing) {
        KeptTokens kept;
        kept.own = {Secret::copy_of(first), "--token-file", folder_ / "own", false, {"a warning"}};
        kept.named = folder_ / "tokens.toml";
        kept.outgoing = outgoing.empty() ? "" : (folder_ / outgoing).string();
        TokenKeeper made({authenticator_, timers_, log_}, std::move(kept));
        made.on_load([this](Secret sent) { sent_ = std::string(sent.expose()); });
        return made;
    }

    fs::path folder_;
    boost::asio::io_context loop_{1};
    runtime::SystemTimers timers_{loop_.get_executor()};
    std::shared_ptr<telemetry::LogCapture> lines_ = std::make_shared<telemetry::LogCapture>();
    telemetry::Logger log_ = *telemetry::Logger::open({.component = "test", .capture = lines_});
    Authenticator authenticator_;
    std::optional<std::string> sent_;
};

TEST_F(TokenKeeperTest, SEC_012_TakesTheNewTokensAndNamesThemOnly) {
    TokenKeeper keeper = make("");
    ASSERT_TRUE(keeper.load());
    keeper.tell();
    EXPECT_EQ(sent_, first);
    write("own", second);
    ASSERT_TRUE(add_token(
        folder_ / "tokens.toml", make_record("laptop", Secret::copy_of("x"), {Scope::infer})
    ));
    keeper.reload();
    EXPECT_FALSE(authenticator_.knows(first));
    EXPECT_TRUE(authenticator_.knows(second));
    EXPECT_EQ(sent_, second);
    EXPECT_EQ(keeper.own().token.expose(), second);
    EXPECT_TRUE(lines_->contains("API token reloaded"));
    EXPECT_TRUE(lines_->contains("main,laptop"));
    EXPECT_TRUE(lines_->contains("--token-file"));
    EXPECT_TRUE(lines_->contains("a warning"));
    EXPECT_FALSE(lines_->contains("first-token"));
    EXPECT_FALSE(lines_->contains("second-token"));
}

TEST_F(TokenKeeperTest, AUTH_019_SendsAnotherTokenThanItAccepts) {
    TokenKeeper keeper = make("outgoing");
    ASSERT_TRUE(keeper.load());
    EXPECT_EQ(sent_, "outgoing-token-0123456789");
    EXPECT_FALSE(authenticator_.knows(*sent_));
}

TEST_F(TokenKeeperTest, OneBadFileChangesNothing) {
    TokenKeeper keeper = make("outgoing");
    ASSERT_TRUE(keeper.load());
    sent_.reset();
    write("own", second);
    fs::remove(folder_ / "outgoing");
    keeper.reload();
    EXPECT_TRUE(authenticator_.knows(first));
    EXPECT_FALSE(authenticator_.knows(second));
    EXPECT_FALSE(sent_);
    EXPECT_TRUE(lines_->contains("reload_failed"));
}

} // namespace
} // namespace rbee::auth
