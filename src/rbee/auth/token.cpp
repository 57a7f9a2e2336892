#include "rbee/auth/token.hpp"

#include "rbee/base/assert.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace rbee::auth {
namespace {

constexpr std::string_view prefix = "rbee_";
constexpr std::string_view alphabet =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t random_size = 43;  ///< 62^43 > 2^256
constexpr std::size_t checksum_size = 6; ///< 62^6 > 2^32
constexpr std::size_t body_size = prefix.size() + random_size;
constexpr std::size_t token_size = body_size + 1 + checksum_size;
constexpr std::size_t fingerprint_bytes_max = 8192;

/// CRC-32 of zlib and Ethernet. Tokens are short: no table is worth its cache lines.
std::uint32_t crc32(std::string_view text) {
    std::uint32_t crc = 0xFFFFFFFFU;
    for (const char byte : text) {
        crc ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ (0xEDB88320U & (0U - (crc & 1U)));
        }
    }
    return ~crc;
}

std::array<char, checksum_size> checksum(std::string_view body) {
    std::array<char, checksum_size> out{};
    std::uint32_t left = crc32(body);
    for (auto digit = out.rbegin(); digit != out.rend(); ++digit) {
        *digit = alphabet[left % alphabet.size()];
        left /= static_cast<std::uint32_t>(alphabet.size());
    }
    return out;
}

/// `size` characters of the alphabet without bias: bytes beyond a multiple of 62 are thrown away.
void fill_random(char* out, std::size_t size) {
    constexpr unsigned fair = 256 / alphabet.size() * alphabet.size();
    std::array<unsigned char, 64> bytes{};
    std::size_t done = 0;
    while (done < size) {
        RBEE_ASSERT(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
        for (auto byte = bytes.begin(); byte != bytes.end() && done < size; ++byte) {
            if (*byte < fair) {
                out[done++] = alphabet[*byte % alphabet.size()];
            }
        }
    }
    OPENSSL_cleanse(bytes.data(), bytes.size());
}

} // namespace

std::string fingerprint(std::string_view token) {
    if (token.size() <= fingerprint_bytes_max) {
        return fingerprint(sha256(token));
    }
    return fingerprint(sha256(std::string(token.substr(0, fingerprint_bytes_max)) + "[truncated]"));
}

std::string fingerprint(const Sha256& digest) {
    return fmt::format("token:{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2]);
}

Secret make_token() {
    Secret token = Secret::of_size(token_size);
    char* out = token.writable();
    std::ranges::copy(prefix, out);
    fill_random(out + prefix.size(), random_size);
    out[body_size] = '_';
    std::ranges::copy(checksum({out, body_size}), out + body_size + 1);
    return token;
}

bool is_well_formed(std::string_view token) {
    if (!token.starts_with(prefix)) {
        return true;
    }
    if (token.size() != token_size || token[body_size] != '_') {
        return false;
    }
    const std::string_view random = token.substr(prefix.size(), random_size);
    if (random.find_first_not_of(alphabet) != std::string_view::npos) {
        return false;
    }
    const auto expected = checksum(token.substr(0, body_size));
    return token.substr(body_size + 1) == std::string_view(expected.data(), expected.size());
}

} // namespace rbee::auth
