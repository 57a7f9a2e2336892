#include "rbee/http/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rbee::http {
namespace {

Handler nothing() {
    return [](Exchange&) -> boost::asio::awaitable<void> { co_return; };
}

TEST(Router, MatchesLiteralsBeforePlaceholders) {
    Router router;
    router.add("GET", "/v1/workers/{id}", nothing());
    router.add("GET", "/v1/workers/list", nothing());
    EXPECT_EQ(router.find("GET", "/v1/workers/list").route->pattern, "/v1/workers/list");
    const auto match = router.find("GET", "/v1/workers/a%20b");
    ASSERT_NE(match.route, nullptr);
    EXPECT_THAT(match.values, testing::ElementsAre("a b"));
}

TEST(Router, TellsWrongMethodFromWrongPath) {
    Router router;
    router.add("POST", "/infer", nothing());
    router.add("DELETE", "/infer", nothing());
    const auto method = router.find("GET", "/infer");
    EXPECT_EQ(method.route, nullptr);
    EXPECT_THAT(method.allowed, testing::ElementsAre("POST", "DELETE"));
    EXPECT_TRUE(router.find("GET", "/other").allowed.empty());
}

TEST(Router, HeadIsAnsweredByGet) {
    Router router;
    router.add("GET", "/health", nothing(), Access::open);
    const auto match = router.find("HEAD", "/health");
    ASSERT_NE(match.route, nullptr);
    EXPECT_EQ(match.route->access, Access::open);
}

TEST(Router, EmptySegmentsAndBadEscapesMatchNothing) {
    Router router;
    router.add("GET", "/v1/workers/{id}", nothing());
    EXPECT_EQ(router.find("GET", "/v1/workers/").route, nullptr);
    EXPECT_EQ(router.find("GET", "/v1/workers/%zz").route, nullptr);
    EXPECT_EQ(router.find("GET", "/v1/workers/a/b").route, nullptr);
}

} // namespace
} // namespace rbee::http
