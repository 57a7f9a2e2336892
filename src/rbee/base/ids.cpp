#include "rbee/base/ids.hpp"

#include "rbee/base/assert.hpp"

#include <openssl/rand.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace rbee {
namespace {

using UuidBytes = std::array<unsigned char, 16>;

/// Random bytes for one id. They are drawn for several at a time: a draw costs more than the rest
/// of a request's head.
UuidBytes random_bytes() {
    thread_local std::array<UuidBytes, 32> drawn;
    thread_local std::size_t left = 0;
    if (left == 0) {
        RBEE_ASSERT(RAND_bytes(drawn.front().data(), static_cast<int>(sizeof drawn)) == 1);
        left = drawn.size();
    }
    return drawn.at(--left);
}

} // namespace

std::string make_uuid() {
    constexpr std::string_view digits = "0123456789abcdef";
    UuidBytes bytes = random_bytes();
    bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0FU) | 0x40U);
    bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3FU) | 0x80U);
    std::string out;
    out.reserve(36);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out.push_back('-');
        }
        out.push_back(digits[bytes.at(i) >> 4U]);
        out.push_back(digits[bytes.at(i) & 0x0FU]);
    }
    return out;
}

bool is_uuid(std::string_view text) {
    if (text.size() != 36) {
        return false;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex) {
            return false;
        }
    }
    return true;
}

} // namespace rbee
