#include "rbee/base/ids.hpp"
#include "rbee/telemetry/correlation.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace rbee::telemetry {
namespace {

TEST(Correlation, KeepsAUuidOfTheClient) {
    EXPECT_EQ(
        accept_or_make_correlation_id("550E8400-e29b-41d4-a716-446655440000"),
        "550E8400-e29b-41d4-a716-446655440000"
    );
}

TEST(Correlation, ReplacesAnythingElse) {
    const auto made = accept_or_make_correlation_id(std::nullopt);
    EXPECT_TRUE(is_uuid(made));
    EXPECT_NE(made, accept_or_make_correlation_id(std::nullopt));
    EXPECT_TRUE(is_uuid(accept_or_make_correlation_id("")));
    EXPECT_TRUE(is_uuid(accept_or_make_correlation_id("abc\r\nX-Evil: 1")));
    EXPECT_TRUE(is_uuid(accept_or_make_correlation_id("550e8400-e29b-41d4-a716-446655440000x")));
}

} // namespace
} // namespace rbee::telemetry
