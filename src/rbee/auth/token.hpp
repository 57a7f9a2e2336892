#pragma once

#include "rbee/base/secret.hpp"
#include "rbee/base/sha256.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace rbee::auth {

/// Tokens below this are warned about at loopback and refused at other addresses
/// (behaviour.md 8.3).
inline constexpr std::size_t token_bytes_min = 16;

/// "token:" and the first 6 hexadecimal digits of the token's SHA-256: enough to tell tokens apart
/// in logs, too little to help a guess. Behaviour.md 8.1: of more than 8192 bytes only the first
/// 8192 count, and "[truncated]" follows.
[[nodiscard]] std::string fingerprint(std::string_view token);

/// The same from the SHA-256 of a token that is not that long.
[[nodiscard]] std::string fingerprint(const Sha256& digest);

/// Makes a new random token, `rbee_<43 base62>_<6 base62>`: 256 bits, and a CRC-32 of the first two
/// parts, so that scanners find it and a mistyped one is refused without being hashed.
[[nodiscard]] Secret make_token();

/// False for what starts like a token of ours and is none: wrong length, alphabet or checksum.
/// Other tokens are free-form and always well formed.
[[nodiscard]] bool is_well_formed(std::string_view token);

} // namespace rbee::auth
