#include "rbee/base/sha256.hpp"

#include "rbee/base/assert.hpp"

#include <openssl/evp.h>

#include <charconv>
#include <memory>

namespace rbee {
namespace {

struct DigestContext {
    std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> algorithm{
        EVP_MD_fetch(nullptr, "SHA256", nullptr), EVP_MD_free
    };
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{
        EVP_MD_CTX_new(), EVP_MD_CTX_free
    };
};

} // namespace

Sha256 sha256(std::string_view data) {
    // Fetching the algorithm costs more than hashing a token: keep both per thread.
    static thread_local DigestContext digest;
    Sha256 out{};
    unsigned int size = 0;
    RBEE_ASSERT(EVP_DigestInit_ex2(digest.context.get(), digest.algorithm.get(), nullptr) == 1);
    RBEE_ASSERT(EVP_DigestUpdate(digest.context.get(), data.data(), data.size()) == 1);
    RBEE_ASSERT(EVP_DigestFinal_ex(digest.context.get(), out.data(), &size) == 1);
    RBEE_ASSERT(size == out.size());
    return out;
}

std::string to_hex(const Sha256& digest) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    out.reserve(digest.size() * 2);
    for (const std::uint8_t byte : digest) {
        out += digits[byte >> 4U];
        out += digits[byte & 0xfU];
    }
    return out;
}

std::optional<Sha256> parse_sha256(std::string_view hex) {
    Sha256 out{};
    if (hex.size() != 2 * out.size()) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
        const char* from = hex.data() + 2 * i;
        const auto parsed = std::from_chars(from, from + 2, out.at(i), 16);
        if (parsed.ec != std::errc() || parsed.ptr != from + 2) {
            return std::nullopt;
        }
    }
    return out;
}

} // namespace rbee
