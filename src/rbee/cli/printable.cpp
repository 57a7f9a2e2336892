#include "rbee/cli/printable.hpp"

#include <algorithm>

namespace rbee::cli {
namespace {

unsigned char byte_at(std::string_view text, std::size_t at) {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
}

/// Length of an unwanted multi-byte character at `at`: C1 controls (U+0080..U+009F) and the
/// bidirectional overrides and isolates (U+202A..U+202E, U+2066..U+2069), which can make a
/// terminal show text in another order than it has.
std::size_t unwanted_sequence(std::string_view text, std::size_t at) {
    const unsigned char first = byte_at(text, at);
    const unsigned char second = byte_at(text, at + 1);
    const unsigned char third = byte_at(text, at + 2);
    if (first == 0xC2 && second >= 0x80 && second <= 0x9F) {
        return 2;
    }
    const bool override = second == 0x80 && third >= 0xAA && third <= 0xAE;
    const bool isolate = second == 0x81 && third >= 0xA6 && third <= 0xA9;
    return first == 0xE2 && (override || isolate) ? 3 : 0;
}

std::string neutralise(std::string_view text, bool keep_lines) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const unsigned char byte = byte_at(text, i);
        if (byte == '\n' || byte == '\t') {
            out.push_back(keep_lines ? text[i] : ' ');
        } else if (byte == '\r') {
            if (!keep_lines) {
                out.push_back(' ');
            }
        } else if (byte < 0x20 || byte == 0x7F) {
            out.push_back('?');
        } else if (const std::size_t length = unwanted_sequence(text, i); length > 0) {
            out.push_back('?');
            i += length;
            continue;
        } else {
            out.push_back(text[i]);
        }
        ++i;
    }
    return out;
}

} // namespace

std::string one_line(std::string_view text) {
    return neutralise(text, false);
}

std::string without_controls(std::string_view text) {
    return neutralise(text, true);
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
    }));
}

} // namespace rbee::cli
