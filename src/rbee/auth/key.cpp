#include "rbee/auth/key.hpp"

#include "rbee/auth/secret_file.hpp"
#include "rbee/base/assert.hpp"
#include "rbee/base/text.hpp"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <memory>
#include <optional>
#include <vector>

namespace rbee::auth {
namespace {

std::optional<unsigned> hex_value(char digit) {
    if (digit >= '0' && digit <= '9') {
        return static_cast<unsigned>(digit - '0');
    }
    const char lower = static_cast<char>(digit | 0x20);
    if (lower >= 'a' && lower <= 'f') {
        return static_cast<unsigned>(lower - 'a') + 10U;
    }
    return std::nullopt;
}

OSSL_PARAM octets(const char* key, std::string_view bytes) {
    // OpenSSL takes a pointer to bytes that it only reads.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast)
    return OSSL_PARAM_construct_octet_string(key, const_cast<char*>(bytes.data()), bytes.size());
}

} // namespace

Result<Secret> load_key_file(const std::string& path) {
    const auto content =
        read_secret_file(path, {.what = "Key file", .bytes_max = key_file_bytes_max});
    if (!content) {
        return error_of(content);
    }
    const std::string_view digits = trim(content->expose());
    if (digits.size() != 2 * key_bytes) {
        return fail(
            Errc::invalid_argument,
            fmt::format("Key file must contain 64 hexadecimal digits: {}", path)
        );
    }
    Secret key = Secret::of_size(key_bytes);
    for (std::size_t i = 0; i < key_bytes; ++i) {
        const auto high = hex_value(digits[2 * i]);
        const auto low = hex_value(digits[2 * i + 1]);
        if (!high || !low) {
            return fail(
                Errc::invalid_argument,
                fmt::format("Key file must contain 64 hexadecimal digits: {}", path)
            );
        }
        key.writable()[i] = static_cast<char>(*high << 4U | *low);
    }
    return key;
}

Result<Secret> derive_key(const Secret& token, std::string_view domain, std::string_view salt) {
    if (token.empty()) {
        return fail(Errc::invalid_argument, "key derivation: the token is empty");
    }
    if (domain.empty()) {
        return fail(Errc::invalid_argument, "key derivation: the domain is empty");
    }
    const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> algorithm(
        EVP_KDF_fetch(nullptr, "HKDF", nullptr), EVP_KDF_free
    );
    RBEE_ASSERT(algorithm != nullptr);
    const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(
        EVP_KDF_CTX_new(algorithm.get()), EVP_KDF_CTX_free
    );
    char digest[] = "SHA256";
    std::vector<OSSL_PARAM> parameters = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        octets(OSSL_KDF_PARAM_KEY, token.expose()),
        octets(OSSL_KDF_PARAM_INFO, domain),
    };
    if (!salt.empty()) {
        parameters.push_back(octets(OSSL_KDF_PARAM_SALT, salt));
    }
    parameters.push_back(OSSL_PARAM_construct_end());
    Secret key = Secret::of_size(key_bytes);
    auto* out = reinterpret_cast<unsigned char*>(key.writable());
    if (EVP_KDF_derive(context.get(), out, key.size(), parameters.data()) != 1) {
        return fail(Errc::internal, "key derivation failed");
    }
    return key;
}

} // namespace rbee::auth
