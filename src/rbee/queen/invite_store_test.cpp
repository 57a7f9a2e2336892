#include "rbee/queen/invite_store.hpp"
#include "rbee/queen/node_store.hpp"
#include "rbee/queen/store_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace rbee::queen {
namespace {

using namespace std::chrono_literals;

const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1);

class InviteStoreTest : public StoreTest<InviteStore> {
protected:
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
    for (const auto& file : std::filesystem::directory_iterator(folder_.path())) {
        std::ostringstream bytes;
        bytes << std::ifstream(file.path(), std::ios::binary).rdbuf();
        EXPECT_EQ(bytes.str().find(token_.expose()), std::string::npos) << file.path();
    }
}

} // namespace
} // namespace rbee::queen
