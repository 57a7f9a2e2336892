// The rows of the input validation library, by id, and what holds for all texts.
#include "rbee/domain/text_rules.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <ostream>
#include <string>

namespace rbee::domain {

void PrintTo(Violation::Kind kind, std::ostream* out) {
    *out << describe(Violation{.kind = kind});
}

namespace {

using Kind = Violation::Kind;
using namespace std::string_literals;

struct Row {
    std::string id;
    std::string text;
    std::optional<Kind> refused = std::nullopt;
    std::size_t size = 0; ///< Of the function, where it takes one.
};

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.id;
}

std::string id_of(const testing::TestParamInfo<Row>& info) {
    return info.param.id;
}

template <typename Value>
std::optional<Kind> kind_of(const std::expected<Value, Violation>& checked) {
    return checked ? std::nullopt : std::optional(checked.error().kind);
}

class Hex : public testing::TestWithParam<Row> {};
TEST_P(Hex, Row) {
    EXPECT_EQ(kind_of(check_hex(GetParam().text, GetParam().size)), GetParam().refused);
}
INSTANTIATE_TEST_SUITE_P(
    IVAL,
    Hex,
    testing::Values(
        Row{"IVAL_HX01", "0123456789abcdef", {}, 16},
        Row{"IVAL_HX02", "0123456789ABCDEF", {}, 16},
        Row{"IVAL_HX03", "0123456789aBcDeF", {}, 16},
        Row{"IVAL_HX04", std::string(64, 'a'), {}, 64},
        Row{"IVAL_HX05", std::string(40, '1'), {}, 40},
        Row{"IVAL_HX06", std::string(32, 'f'), {}, 32},
        Row{"IVAL_HX07", "abc", Kind::wrong_length, 64},
        Row{"IVAL_HX08", std::string(65, 'a'), Kind::wrong_length, 64},
        Row{"IVAL_HX09", "abc\0def"s, Kind::null_byte, 7},
        Row{"IVAL_HX10", "abcg", Kind::invalid_hex, 4},
        Row{"IVAL_HX11", "ab cd", Kind::invalid_hex, 5},
        Row{"IVAL_HX12", "ab-cd", Kind::invalid_hex, 5},
        Row{"IVAL_HX13", "", Kind::wrong_length, 64},
        Row{"IVAL_HX14", std::string(64, '0'), {}, 64},
        Row{"NUL_comes_before_digits", "g\0"s, Kind::null_byte, 2}
    ),
    id_of
);

class Identifier : public testing::TestWithParam<Row> {};
TEST_P(Identifier, Row) {
    EXPECT_EQ(kind_of(check_identifier(GetParam().text, GetParam().size)), GetParam().refused);
}
INSTANTIATE_TEST_SUITE_P(
    IVAL,
    Identifier,
    testing::Values(
        Row{"IVAL_ID01", "shard-abc123", {}, 256},
        Row{"IVAL_ID02", "shard_abc_123", {}, 256},
        Row{"IVAL_ID03", "", Kind::empty, 256},
        Row{"IVAL_ID04", std::string(257, 'a'), Kind::too_long, 256},
        Row{"IVAL_ID05", "shard\0null"s, Kind::null_byte, 256},
        Row{"IVAL_ID06", "shard-../etc/passwd", Kind::path_traversal, 256},
        Row{"IVAL_ID07", "shard-./config", Kind::path_traversal, 256},
        Row{"IVAL_ID08", "shard@123", Kind::invalid_characters, 256},
        Row{"IVAL_ID09", "shard 123", Kind::invalid_characters, 256},
        Row{"IVAL_ID10", std::string(256, 'a'), {}, 256},
        Row{"Backslashes_traverse_too", "..\\windows", Kind::path_traversal, 256},
        Row{"A_dot_alone_does_not", "a.b", Kind::invalid_characters, 256},
        Row{"The_first_offence_wins", "a@\0../"s, Kind::invalid_characters, 256},
        Row{"Length_comes_first", "\0\0\0\0"s, Kind::too_long, 3}
    ),
    id_of
);

class Prompt : public testing::TestWithParam<Row> {};
TEST_P(Prompt, Row) {
    EXPECT_EQ(kind_of(check_prompt(GetParam().text, GetParam().size)), GetParam().refused);
}
INSTANTIATE_TEST_SUITE_P(
    IVAL,
    Prompt,
    testing::Values(
        Row{"IVAL_PR01", "Hello, world!", {}, prompt_bytes_max},
        Row{"IVAL_PR02", "Write a story about a brave knight.", {}, prompt_bytes_max},
        Row{"IVAL_PR03", "", {}, prompt_bytes_max},
        Row{"IVAL_PR04", "Caf\u00e9 \u2603 \U0001f41d", {}, prompt_bytes_max},
        Row{"IVAL_PR05", "line one\nline two", {}, prompt_bytes_max},
        Row{"IVAL_PR06", "a\tb", {}, prompt_bytes_max},
        Row{"IVAL_PR07", std::string(100'001, 'a'), Kind::too_long, prompt_bytes_max},
        Row{"IVAL_PR08", std::string(100'000, 'a'), {}, prompt_bytes_max},
        Row{"IVAL_PR09", std::string(99'999, 'a'), {}, prompt_bytes_max},
        Row{"IVAL_PR10", "a\0b"s, Kind::null_byte, prompt_bytes_max},
        Row{"IVAL_PR11", "\0a"s, Kind::null_byte, prompt_bytes_max},
        Row{"IVAL_PR12", "a\0"s, Kind::null_byte, prompt_bytes_max},
        Row{"IVAL_PR13", std::string(50, 'a'), {}, 50},
        Row{"Escapes_are_refused", "a\x1b[31m", Kind::ansi_escape, 50},
        Row{"Bells_are_refused", "a\a", Kind::control_character, 50},
        Row{"Reordering_is_refused", "a\u202eb", Kind::bidi_override, 50},
        Row{"Isolates_are_refused", "a\u2066b", Kind::bidi_override, 50},
        Row{"A_byte_order_mark_is_text", "\ufeffa", {}, 50}
    ),
    id_of
);

class Sanitize : public testing::TestWithParam<Row> {};
TEST_P(Sanitize, Row) {
    const auto clean = sanitize(GetParam().text);
    EXPECT_EQ(kind_of(clean), GetParam().refused);
    if (clean) {
        EXPECT_EQ(*clean, GetParam().text);
    }
}
INSTANTIATE_TEST_SUITE_P(
    IVAL,
    Sanitize,
    testing::Values(
        Row{"IVAL_SS01", "normal text"},
        Row{"IVAL_SS02", "a\tb"},
        Row{"IVAL_SS03", "a\nb"},
        Row{"IVAL_SS04", "a\r\nb"},
        Row{"IVAL_SS05", ""},
        Row{"IVAL_SS06", "Gr\u00fc\u00dfe \u4e16\u754c \U0001f41d"},
        Row{"IVAL_SS07", "a\0b"s, Kind::null_byte},
        Row{"IVAL_SS08", "\0b"s, Kind::null_byte},
        Row{"IVAL_SS09", "a\0"s, Kind::null_byte},
        Row{"IVAL_SS10", "a\x1b[31mred", Kind::ansi_escape},
        Row{"IVAL_SS11", "a\x1b[0m", Kind::ansi_escape},
        Row{"IVAL_SS12", "a\x1b[2J", Kind::ansi_escape},
        Row{"IVAL_SS13", "\x1b[1mbold", Kind::ansi_escape},
        Row{"IVAL_SS14", "a\x01", Kind::control_character},
        Row{"IVAL_SS15", "a\x1f", Kind::control_character},
        Row{"IVAL_SS16", "a\a", Kind::control_character},
        Row{"IVAL_SS17", "2025-10-01 INFO one\n2025-10-01 INFO two\n"},
        Row{"IVAL_SS18", "ok\x1b[31m[ERROR] all is lost", Kind::ansi_escape},
        Row{"The_first_offence_wins", "\x01\0"s, Kind::control_character},
        Row{"Delete_is_a_control", "a\x7f", Kind::control_character},
        Row{"So_is_an_8_bit_escape", "a\u009b31m", Kind::control_character},
        Row{"Reordering_is_refused", "a\u202dz", Kind::bidi_override},
        Row{"An_invisible_mark_is_refused", "a\ufeff", Kind::byte_order_mark}
    ),
    id_of
);

class ModelRefText : public testing::TestWithParam<Row> {};
TEST_P(ModelRefText, Row) {
    EXPECT_EQ(kind_of(check_model_ref_text(GetParam().text)), GetParam().refused);
}
INSTANTIATE_TEST_SUITE_P(
    IVAL,
    ModelRefText,
    testing::Values(
        Row{"IVAL_SI01", "'; DROP TABLE models; --", Kind::invalid_characters},
        Row{"IVAL_SI02", "model.gguf; rm -rf /", Kind::shell_metacharacter},
        Row{"IVAL_SI03", "model.gguf|cat", Kind::shell_metacharacter},
        Row{"IVAL_SI04", "model.gguf&&ls", Kind::shell_metacharacter},
        Row{"IVAL_SI05", "model\n[ERROR] fake", Kind::shell_metacharacter},
        Row{"IVAL_SI06", "model\r\n[ERROR] fake", Kind::shell_metacharacter},
        Row{"IVAL_SI08", "file:../../../etc/passwd", Kind::path_traversal},
        Row{"IVAL_SI09", "meta-llama/Llama-3.1-8B"},
        Row{"IVAL_SI10", "hf:meta-llama/Llama-3.1-8B"},
        Row{"Empty", "", Kind::empty},
        Row{"The_longest", std::string(512, 'a')},
        Row{"Too_long", std::string(513, 'a'), Kind::too_long},
        Row{"Null", "a\0"s, Kind::null_byte},
        Row{"Backslash", "a\\b", Kind::shell_metacharacter}
    ),
    id_of
);

TEST(Sanitizing, IVAL_SI07_Escape_is_found) {
    EXPECT_EQ(kind_of(sanitize("text\x1b[31mred")), Kind::ansi_escape);
}

struct RangeRow {
    std::string id;
    std::int64_t value;
    std::int64_t min;
    std::int64_t max;
    bool inside;
};

void PrintTo(const RangeRow& row, std::ostream* out) {
    *out << row.id;
}

class Range : public testing::TestWithParam<RangeRow> {};
TEST_P(Range, Row) {
    const auto checked = check_range(GetParam().value, GetParam().min, GetParam().max);
    EXPECT_EQ(checked.has_value(), GetParam().inside);
    if (!checked) {
        EXPECT_EQ(checked.error().kind, Kind::out_of_range);
    }
}
INSTANTIATE_TEST_SUITE_P(
    IVAL,
    Range,
    testing::Values(
        RangeRow{"IVAL_RG01", 2, 0, 4, true},
        RangeRow{"IVAL_RG02", 0, 0, 4, true},
        RangeRow{"IVAL_RG03", 3, 0, 4, true},
        RangeRow{"IVAL_RG04", 4, 0, 4, false},
        RangeRow{"IVAL_RG05", -1, 0, 4, false},
        RangeRow{"IVAL_RG06", 5, 0, 4, false},
        RangeRow{"IVAL_RG07", -5, -10, -1, true},
        RangeRow{"IVAL_RG08", 0, -5, 5, true},
        RangeRow{"IVAL_RG09", -11, -10, -1, false},
        RangeRow{"IVAL_RG10", 0, 0, 10, true},
        RangeRow{"IVAL_RG11", -1, 0, 10, false},
        RangeRow{"IVAL_RG12", 9, 0, 10, true},
        RangeRow{"IVAL_RG13", 10, 0, 10, false},
        RangeRow{
            "The_widest",
            std::numeric_limits<std::int64_t>::min(),
            std::numeric_limits<std::int64_t>::min(),
            std::numeric_limits<std::int64_t>::max(),
            true
        }
    ),
    [](const auto& info) { return info.param.id; }
);

TEST(TextRules, SaySizesAndNothingElse) {
    const Checked checked = check_identifier(std::string(70, 'x'), 64);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().actual_bytes, 70U);
    EXPECT_EQ(describe(checked.error()), "exceeds maximum length of 64 characters");
}

bool is_clean(std::string_view text) {
    return std::ranges::none_of(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
    });
}

/// Texts of a few interesting bytes, of which many get far into a check.
rc::Gen<std::string> bytes() {
    return rc::gen::oneOf(
        rc::gen::arbitrary<std::string>(),
        rc::gen::container<std::string>(rc::gen::element(
            'a', '.', '/', '\\', '\xe2', '\x80', '\xae', '\xef', '\xbb', '\xbf', '\xc2'
        ))
    );
}

RC_GTEST_PROP(TextRules, WhateverPassesHoldsNoForbiddenByte, ()) {
    const std::string text = *bytes();
    if (check_identifier(text)) {
        RC_ASSERT(text.find_first_of("./\\ \n") == std::string::npos && is_clean(text));
    }
    if (check_model_ref_text(text)) {
        RC_ASSERT(text.find_first_of(";|&$`\\\n\r<> ") == std::string::npos);
        RC_ASSERT(!text.contains("../") && is_clean(text));
    }
    if (check_prompt(text)) {
        RC_ASSERT(is_clean(text) && !text.contains("\u202e"));
    }
    if (const auto clean = sanitize(text)) {
        RC_ASSERT(*clean == text && is_clean(text));
        RC_ASSERT(!text.contains("\u202e") && !text.contains("\ufeff"));
    }
}

RC_GTEST_PROP(TextRules, HexPassesExactlyWhatIsHex, ()) {
    const auto text =
        *rc::gen::container<std::string>(rc::gen::element('0', '9', 'a', 'f', 'A', 'F', 'g', '\0'));
    const bool good = text.find_first_of(std::string("g\0", 2)) == std::string::npos;
    RC_ASSERT(check_hex(text, text.size()).has_value() == good);
    RC_ASSERT(!check_hex(text, text.size() + 1).has_value());
}

// A quadratic check would take minutes for the long text, and time out.
TEST(TextRules, TakeLinearTime) {
    const std::string text(8'000'000, '.');
    EXPECT_EQ(kind_of(check_identifier(text, text.size())), Kind::invalid_characters);
    EXPECT_TRUE(check_prompt(text, text.size()).has_value());
    EXPECT_TRUE(sanitize(text).has_value());
    EXPECT_EQ(kind_of(check_model_ref_text(text)), Kind::too_long);
    EXPECT_EQ(kind_of(check_hex(text, text.size())), Kind::invalid_hex);
}

} // namespace
} // namespace rbee::domain
