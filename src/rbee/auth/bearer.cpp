#include "rbee/auth/bearer.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/text.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <utility>

namespace rbee::auth {
namespace {

constexpr std::size_t header_bytes_max = 8192;
constexpr std::string_view scheme = "Bearer";

Verdict refuse(std::string_view code, std::string message, std::string_view reason) {
    return {
        .allowed = false,
        .actor = {},
        .log_reason = std::string(reason),
        .error = {Errc::unauthenticated, std::move(message), std::string(code)},
    };
}

} // namespace

std::string fingerprint(std::string_view token) {
    return "token:" + to_hex(sha256(token)).substr(0, 6);
}

void Authenticator::accept(const Secret& token) {
    RBEE_ASSERT(!token.empty());
    digests_.push_back(sha256(token.expose()));
}

Verdict Authenticator::check(const http::Headers& headers) const {
    if (open()) {
        return {.allowed = true, .actor = "dev", .log_reason = {}, .error = {}};
    }
    const auto header = headers.find("Authorization");
    if (!header || header->size() > header_bytes_max) {
        return refuse("MISSING_API_KEY", "Missing API key", "missing_header");
    }
    if (headers.count("Authorization") > 1) {
        Verdict verdict =
            refuse("INVALID_REQUEST", "More than one Authorization field", "invalid_format");
        verdict.error.code = Errc::invalid_argument;
        return verdict;
    }
    const std::string_view value = trim(*header);
    if (value.size() < scheme.size() || !iequals(value.substr(0, scheme.size()), scheme)) {
        return refuse("INVALID_API_KEY", "Invalid Authorization header format", "invalid_format");
    }
    std::string_view token = value.substr(scheme.size());
    if (token.empty()) {
        return refuse("MISSING_API_KEY", "Missing API key", "empty_token");
    }
    if (!token.starts_with(' ') || token.starts_with("  ")) {
        return refuse("INVALID_API_KEY", "Invalid Authorization header format", "invalid_format");
    }
    token.remove_prefix(1);
    const Sha256 presented = sha256(token);
    int equal = 0;
    for (const Sha256& digest : digests_) {
        equal |=
            static_cast<int>(CRYPTO_memcmp(digest.data(), presented.data(), digest.size()) == 0);
    }
    Verdict verdict{
        .allowed = equal != 0, .actor = fingerprint(token), .log_reason = {}, .error = {}
    };
    if (!verdict.allowed) {
        verdict.log_reason = "invalid_token";
        verdict.error = {Errc::unauthenticated, "Invalid or missing API key", "INVALID_API_KEY"};
    }
    return verdict;
}

Secret make_token() {
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::array<unsigned char, 43> bytes{};
    RBEE_ASSERT(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
    std::string token;
    token.reserve(bytes.size());
    for (const unsigned char byte : bytes) {
        token.push_back(alphabet[byte % alphabet.size()]); // 64 symbols: no bias
    }
    OPENSSL_cleanse(bytes.data(), bytes.size());
    return Secret(std::move(token));
}

} // namespace rbee::auth
