#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace rbee::auth {

/// Bytes of a key.
inline constexpr std::size_t key_bytes = 32;
/// Largest file of a key.
inline constexpr std::size_t key_file_bytes_max = 1024;

/// A key of 32 bytes from a file of 64 hexadecimal digits, white space around them allowed, under
/// the rules of read_secret_file().
[[nodiscard]] Result<Secret> load_key_file(const std::string& path);

/// 32 bytes by HKDF-SHA-256 (RFC 5869) from a token, for one purpose: `domain` is its `info`.
/// Deterministic. Without salt unless one is given. Errc::invalid_argument for an empty token or
/// domain.
[[nodiscard]] Result<Secret>
derive_key(const Secret& token, std::string_view domain, std::string_view salt = {});

} // namespace rbee::auth
