#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace rbee::domain {

/// Which rule a value breaks. Holds sizes, never the value.
struct Violation {
    enum class Kind : std::uint8_t {
        empty,
        too_long,
        null_byte,
        path_traversal,
        shell_metacharacter,
        invalid_characters,
        wrong_length,
        invalid_hex,
        path_outside_root,
        io,
        ansi_escape,
        control_character,
        bidi_override,   ///< U+202A-202E, U+2066-2069: text that reads otherwise than it is.
        byte_order_mark, ///< U+FEFF, which nobody sees.
        out_of_range,
    };
    Kind kind = Kind::empty;
    std::size_t actual_bytes = 0; ///< Of too_long and wrong_length.
    std::size_t max_bytes = 0;    ///< Likewise: the bound, or the length that is right.

    bool operator==(const Violation&) const = default;
};

/// What is wrong, as the end of a sentence: "contains null bytes".
[[nodiscard]] std::string describe(const Violation& violation);

using Checked = std::expected<void, Violation>;

// The library of behaviour.md 10.1. All of it is pure and linear in the size of the text; lengths
// are bytes. Checks of the whole text come first, in the order given; then characters are looked at
// from left to right and the first offence is told.

inline constexpr std::size_t identifier_bytes_max = 256;
inline constexpr std::size_t model_ref_bytes_max = 512;
inline constexpr std::size_t prompt_bytes_max = 100'000;

/// 1 to `bytes_max` of [A-Za-z0-9_-]: empty, too_long, null_byte, path_traversal,
/// invalid_characters.
[[nodiscard]] Checked
check_identifier(std::string_view text, std::size_t bytes_max = identifier_bytes_max);

/// 1 to 512 of [A-Za-z0-9_/:.-]: empty, too_long, null_byte, shell_metacharacter (the backslash
/// too), path_traversal, invalid_characters. Only characters; parse_model_ref() knows the forms.
[[nodiscard]] Checked check_model_ref_text(std::string_view text);

/// Exactly `digits` hexadecimal digits of any case: wrong_length, null_byte, invalid_hex.
[[nodiscard]] Checked check_hex(std::string_view text, std::size_t digits);

/// At most `bytes_max` bytes, empty too: too_long, null_byte, ansi_escape, control_character,
/// bidi_override. Tab and line ends are text.
[[nodiscard]] Checked check_prompt(std::string_view text, std::size_t bytes_max = prompt_bytes_max);

/// min <= value < max: out_of_range.
[[nodiscard]] Checked check_range(std::int64_t value, std::int64_t min, std::int64_t max);

/// The text itself when it is harmless in a log or on a terminal: null_byte, ansi_escape,
/// control_character, bidi_override, byte_order_mark. Tab and line ends are text.
[[nodiscard]] std::expected<std::string_view, Violation> sanitize(std::string_view text);

} // namespace rbee::domain
