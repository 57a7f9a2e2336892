#include "rbee/domain/exit_kind.hpp"

#include <gtest/gtest.h>

namespace rbee::domain {
namespace {

TEST(ExitKindTest, What_was_asked_for_is_nothing_else) {
    EXPECT_EQ(classify_exit({.signal = 9, .requested = true}), ExitKind::asked_for);
    EXPECT_EQ(
        classify_exit({.code = 78, .requested = true, .out_of_memory = true}), ExitKind::asked_for
    );
}

TEST(ExitKindTest, Codes_that_would_come_again_are_of_the_configuration) {
    for (const int code : {64, 65, 66, 78, 126, 127}) {
        EXPECT_EQ(classify_exit({.code = code}), ExitKind::configuration) << code;
    }
    for (const int code : {1, 2, 63, 67, 70, 77, 79, 125, 128, 255}) {
        EXPECT_EQ(classify_exit({.code = code}), ExitKind::crash) << code;
    }
}

TEST(ExitKindTest, A_worker_that_says_that_it_cannot_load_is_believed) {
    EXPECT_EQ(classify_exit({.code = 1, .cannot_load = true}), ExitKind::configuration);
    EXPECT_EQ(classify_exit({.code = 71, .cannot_load = true}), ExitKind::out_of_memory);
    EXPECT_EQ(classify_exit({.code = 71}), ExitKind::crash);
}

TEST(ExitKindTest, Signals_zero_and_the_lack_of_memory_are_told_apart) {
    EXPECT_EQ(classify_exit({.signal = 11}), ExitKind::crash);
    EXPECT_EQ(classify_exit({.signal = 9, .out_of_memory = true}), ExitKind::out_of_memory);
    EXPECT_EQ(classify_exit({.code = 0}), ExitKind::clean);
    EXPECT_EQ(classify_exit({}), ExitKind::crash) << "nobody saw how an adopted one ended";
    EXPECT_EQ(classify_exit({.code = 0, .stalled = true}), ExitKind::crash);
}

TEST(ExitKindTest, Names_go_there_and_back) {
    for (const ExitKind kind :
         {ExitKind::asked_for,
          ExitKind::clean,
          ExitKind::crash,
          ExitKind::configuration,
          ExitKind::out_of_memory}) {
        EXPECT_EQ(parse_exit_kind(to_string(kind)), kind);
    }
    EXPECT_FALSE(parse_exit_kind("other"));
}

} // namespace
} // namespace rbee::domain
