#include "rbee/cli/fake_queen_test.hpp"
#include "rbee/cli/printable.hpp"
#include "rbee/cli/table.hpp"
#include "rbee/cli/tables.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace rbee::cli {
namespace {

using namespace std::chrono_literals;

TEST(Table, aligns_columns_and_ends_lines_without_blanks) {
    const testing::CapturedConsole captured;
    Table table({{"NAME"}, {"SIZE", Table::Align::right}, {"NOTE"}});
    table.add({"tiny", "3 MB", "first"});
    table.add({"größer", "1200 MB", ""});
    EXPECT_EQ(
        table.render(captured.console),
        "NAME       SIZE  NOTE\n"
        "tiny       3 MB  first\n"
        "größer  1200 MB\n"
    );
}

TEST(Table, colours_only_on_a_terminal_that_allows_it) {
    Table table({{"STATE"}});
    table.add({"idle"});
    const testing::CapturedConsole plain({.out_tty = false, .colours = true});
    const testing::CapturedConsole colour({.out_tty = true, .colours = true});
    const testing::CapturedConsole forbidden({.out_tty = true, .colours = false});
    EXPECT_FALSE(table.render(plain.console).contains('\x1b'));
    EXPECT_TRUE(table.render(colour.console).contains("\x1b[32midle\x1b[0m"));
    EXPECT_FALSE(table.render(forbidden.console).contains('\x1b'));
}

TEST(Table, neutralises_what_a_server_sent) {
    const testing::CapturedConsole captured;
    const auto text = workers_table(
        {{{"id", "w\x1b[2J\n1"}, {"model", "tiny"}, {"state", "idle"}}}, {}, captured.console
    );
    EXPECT_FALSE(text.contains('\x1b'));
    EXPECT_TRUE(text.contains("w?[2J 1"));
}

TEST(Printable, keeps_text_and_replaces_controls) {
    EXPECT_EQ(
        one_line("a\tb\nc\r\x07"
                 "d\x7f"),
        "a b c ?d?"
    );
    EXPECT_EQ(without_controls("a\tb\n\x1b[31m\u009bX\u202e"), "a\tb\n?[31m?X?");
    EXPECT_EQ(without_controls("Grüße 🐝"), "Grüße 🐝");
    EXPECT_EQ(without_controls("cut \xe2"), "cut \xe2");
    EXPECT_EQ(display_width("größer"), 6U);
}

TEST(HumanAge, uses_the_unit_that_reads_best) {
    EXPECT_EQ(human_duration(0s), "0 s");
    EXPECT_EQ(human_duration(3min), "3 min");
    EXPECT_EQ(human_age(-5s), "now");
    EXPECT_EQ(human_age(42s), "42 s");
    EXPECT_EQ(human_age(3min), "3 min");
    EXPECT_EQ(human_age(5h), "5 h");
    EXPECT_EQ(human_age(49h), "2 d");
}

TEST(AgeOf, reads_rfc3339_and_refuses_the_rest) {
    const auto now = std::chrono::sys_days(std::chrono::year(2026) / 1 / 31) + 8h + 1min;
    EXPECT_EQ(age_of("2026-01-31T08:00:00.000Z", now), "60 s");
    EXPECT_EQ(age_of("", now), "-");
    EXPECT_EQ(age_of("yesterday, about nine", now), "-");
}

TEST(ProgressLine, shows_the_fraction_and_fits) {
    EXPECT_EQ(
        progress_line("loading tiny", 0.5, "4/8 layers", 80),
        "loading tiny  [############............]  50 %  4/8 layers"
    );
    EXPECT_TRUE(progress_line("x", 7.0, "", 80).contains("100 %"));
    EXPECT_TRUE(progress_line("x", std::nan(""), "", 80).contains("0 %"));
    for (std::size_t columns = 1; columns < 60; ++columns) {
        EXPECT_LT(display_width(progress_line("größe größe", 0.3, "é", columns)), columns);
    }
}

} // namespace
} // namespace rbee::cli
