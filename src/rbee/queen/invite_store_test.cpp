#include "rbee/queen/invite_store.hpp"
#include "rbee/queen/node_store.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

namespace rbee::queen {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1);

class InviteStoreTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "rbee-invites-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        open();
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    void open() {
        database_.reset();
        database_ =
            store::Database::open(folder_ + "/beehives.db", NodeStore::migrations()).value();
        store_ = std::make_unique<InviteStore>(*database_);
    }
    template <typename T>
    T run(asio::awaitable<T> work) {
        std::optional<T> out;
        asio::co_spawn(context_, std::move(work), [&](const std::exception_ptr& failure, T value) {
            EXPECT_FALSE(failure);
            out.emplace(std::move(value));
        });
        context_.restart();
        context_.run();
        return std::move(*out);
    }

    std::string folder_;
    asio::io_context context_{1};
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<InviteStore> store_;
    Secret token_{std::string("join-token-of-attic")};
};

TEST_F(InviteStoreTest, AnInvitationCountsUntilItsTimeAlsoAfterARestart) {
    ASSERT_TRUE(run(store_->put("attic", token_, now + 1h)).has_value());
    open();
    EXPECT_EQ(run(store_->find(token_, now + 59min)).value(), "attic");
    const auto late = run(store_->find(token_, now + 1h));
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(late.error().code, Errc::unauthenticated);
    EXPECT_THAT(late.error().what, testing::HasSubstr("expired"));
}

TEST_F(InviteStoreTest, ItIsTakenOnce) {
    ASSERT_TRUE(run(store_->put("attic", token_, now + 1h)).has_value());
    EXPECT_TRUE(run(store_->take(token_)).has_value());
    const auto again = run(store_->take(token_));
    ASSERT_FALSE(again.has_value());
    EXPECT_EQ(again.error().wire_code, "JOIN_TOKEN_INVALID");
    EXPECT_FALSE(run(store_->find(token_, now)).has_value());
}

TEST_F(InviteStoreTest, ANewerOneReplacesIt) {
    const Secret newer{std::string("newer-join-token")};
    ASSERT_TRUE(run(store_->put("attic", token_, now + 1h)).has_value());
    ASSERT_TRUE(run(store_->put("attic", newer, now + 1h)).has_value());
    EXPECT_FALSE(run(store_->find(token_, now)).has_value());
    EXPECT_EQ(run(store_->find(newer, now)).value(), "attic");
}

TEST_F(InviteStoreTest, TheTokenItselfIsNotKept) {
    ASSERT_TRUE(run(store_->put("attic", token_, now + 1h)).has_value());
    database_.reset();
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
        std::ostringstream bytes;
        bytes << std::ifstream(file.path(), std::ios::binary).rdbuf();
        EXPECT_EQ(bytes.str().find(token_.expose()), std::string::npos) << file.path();
    }
}

} // namespace
} // namespace rbee::queen
