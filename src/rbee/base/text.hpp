#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee {

/// ASCII lower case; other bytes unchanged.
[[nodiscard]] std::string to_lower(std::string_view text);

/// Equal when ASCII case is ignored.
[[nodiscard]] bool iequals(std::string_view a, std::string_view b);

/// `text` without spaces, tabs and line ends at both sides.
[[nodiscard]] std::string_view trim(std::string_view text);

/// Pieces of `text` between `separator`; n separators give n + 1 pieces.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

/// A decimal number that fills the whole text, or nothing. No sign, no spaces.
[[nodiscard]] std::optional<std::uint64_t> parse_u64(std::string_view text);

/// Sizes for people: "512 B", "3.4 MB" (powers of 1000).
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

/// `text` decoded from percent-encoding, or nothing when an escape is malformed.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

/// `text` with every byte but unreserved characters (RFC 3986) percent-encoded.
[[nodiscard]] std::string percent_encode(std::string_view text);

} // namespace rbee
