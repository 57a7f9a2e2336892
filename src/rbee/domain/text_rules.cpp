#include "rbee/domain/text_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace rbee::domain {
namespace {

using Kind = Violation::Kind;

constexpr std::string_view shell_characters = ";|&$`\n\r\\";

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool begins_traversal(std::string_view text) {
    return text.starts_with("../") || text.starts_with("./") || text.starts_with("..\\") ||
           text.starts_with(".\\");
}

/// What is wrong with the character that `text` begins with, for text that people read.
std::optional<Kind> offence(std::string_view text) {
    const auto byte = static_cast<unsigned char>(text.front());
    if (byte == 0) {
        return Kind::null_byte;
    }
    if (byte == 0x1b) {
        return Kind::ansi_escape;
    }
    const bool layout = byte == '\t' || byte == '\n' || byte == '\r';
    if ((byte < 0x20 && !layout) || byte == 0x7f) {
        return Kind::control_character;
    }
    const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    if (byte == 0xc2 && text.size() > 1 && at(1) >= 0x80 && at(1) <= 0x9f) {
        return Kind::control_character; // U+0080-009F: 8-bit escapes of some terminals
    }
    if (text.size() < 3) {
        return std::nullopt;
    }
    const bool embedding = byte == 0xe2 && at(1) == 0x80 && at(2) >= 0xaa && at(2) <= 0xae;
    const bool isolate = byte == 0xe2 && at(1) == 0x81 && at(2) >= 0xa6 && at(2) <= 0xa9;
    if (embedding || isolate) {
        return Kind::bidi_override;
    }
    if (byte == 0xef && at(1) == 0xbb && at(2) == 0xbf) {
        return Kind::byte_order_mark;
    }
    return std::nullopt;
}

std::unexpected<Violation> broken(Kind kind) {
    return std::unexpected(Violation{.kind = kind});
}

std::unexpected<Violation> broken(Kind kind, std::size_t actual, std::size_t max) {
    return std::unexpected(Violation{.kind = kind, .actual_bytes = actual, .max_bytes = max});
}

} // namespace

std::string describe(const Violation& violation) {
    switch (violation.kind) {
    case Kind::empty:
        return "must not be empty";
    case Kind::too_long:
        return fmt::format("exceeds maximum length of {} characters", violation.max_bytes);
    case Kind::null_byte:
        return "contains null bytes";
    case Kind::path_traversal:
        return "path traversal detected";
    case Kind::shell_metacharacter:
        return "contains shell metacharacters";
    case Kind::invalid_characters:
        return "contains special characters";
    case Kind::wrong_length:
        return fmt::format("must have exactly {} characters", violation.max_bytes);
    case Kind::invalid_hex:
        return "only hexadecimal digits allowed";
    case Kind::path_outside_root:
        return "lies outside of the allowed directory";
    case Kind::io:
        return "cannot be read";
    case Kind::ansi_escape:
        return "contains ANSI escape codes";
    case Kind::control_character:
        return "contains control characters";
    case Kind::bidi_override:
        return "contains characters that change the direction of text";
    case Kind::byte_order_mark:
        return "contains a byte order mark";
    case Kind::out_of_range:
        break;
    }
    return "is out of range";
}

Checked check_identifier(std::string_view text, std::size_t bytes_max) {
    if (text.empty()) {
        return broken(Kind::empty);
    }
    if (text.size() > bytes_max) {
        return broken(Kind::too_long, text.size(), bytes_max);
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\0') {
            return broken(Kind::null_byte);
        }
        if (begins_traversal(text.substr(i))) {
            return broken(Kind::path_traversal);
        }
        if (!is_alphanumeric(text[i]) && text[i] != '_' && text[i] != '-') {
            return broken(Kind::invalid_characters);
        }
    }
    return {};
}

Checked check_model_ref_text(std::string_view text) {
    constexpr std::string_view punctuation = "-_/:.";
    if (text.empty()) {
        return broken(Kind::empty);
    }
    if (text.size() > model_ref_bytes_max) {
        return broken(Kind::too_long, text.size(), model_ref_bytes_max);
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\0') {
            return broken(Kind::null_byte);
        }
        if (shell_characters.contains(c)) {
            return broken(Kind::shell_metacharacter);
        }
        if (text.substr(i).starts_with("../")) {
            return broken(Kind::path_traversal);
        }
        if (!is_alphanumeric(c) && !punctuation.contains(c)) {
            return broken(Kind::invalid_characters);
        }
    }
    return {};
}

Checked check_hex(std::string_view text, std::size_t digits) {
    if (text.size() != digits) {
        return broken(Kind::wrong_length, text.size(), digits);
    }
    if (text.contains('\0')) {
        return broken(Kind::null_byte);
    }
    const bool good = std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    });
    return good ? Checked() : Checked(broken(Kind::invalid_hex));
}

Checked check_prompt(std::string_view text, std::size_t bytes_max) {
    if (text.size() > bytes_max) {
        return broken(Kind::too_long, text.size(), bytes_max);
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto wrong = offence(text.substr(i));
        if (wrong && *wrong != Kind::byte_order_mark) {
            return broken(*wrong);
        }
    }
    return {};
}

Checked check_range(std::int64_t value, std::int64_t min, std::int64_t max) {
    return value >= min && value < max ? Checked() : Checked(broken(Kind::out_of_range));
}

std::expected<std::string_view, Violation> sanitize(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (const auto wrong = offence(text.substr(i))) {
            return broken(*wrong);
        }
    }
    return text;
}

} // namespace rbee::domain
