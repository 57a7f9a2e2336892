#include "rbee/config/option_value.hpp"

#include <gtest/gtest.h>

namespace rbee::config {
namespace {

TEST(ParseNumber, TakesBothEndsAndNamesThemOtherwise) {
    EXPECT_EQ(parse_number("--slots", "1", {1, 256}), 1U);
    EXPECT_EQ(parse_number("--slots", "256", {1, 256}), 256U);
    for (const char* wrong : {"0", "257", "", "-1", "4x", " 4"}) {
        const auto refused = parse_number("--slots", wrong, {1, 256});
        ASSERT_FALSE(refused.has_value()) << wrong;
        EXPECT_EQ(refused.error().what, "--slots must be a number from 1 to 256");
        EXPECT_EQ(refused.error().code, Errc::invalid_argument);
    }
}

} // namespace
} // namespace rbee::config
