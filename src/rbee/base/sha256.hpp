#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rbee {

using Sha256 = std::array<std::uint8_t, 32>;

/// SHA-256 (FIPS 180-4) of `data`. Thread-safe; reuses one context per thread.
[[nodiscard]] Sha256 sha256(std::string_view data);

/// Lower-case hexadecimal of a digest, 64 characters.
[[nodiscard]] std::string to_hex(const Sha256& digest);

/// The digest from 64 hexadecimal digits of any case; nothing for other texts.
[[nodiscard]] std::optional<Sha256> parse_sha256(std::string_view hex);

} // namespace rbee
