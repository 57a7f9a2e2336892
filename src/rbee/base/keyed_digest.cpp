#include "rbee/base/keyed_digest.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/secret.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <array>
#include <cstddef>

namespace rbee {

struct KeyedDigest::Impl {
    std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> algorithm{
        EVP_MAC_fetch(nullptr, "HMAC", nullptr), EVP_MAC_free
    };
    std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context{
        EVP_MAC_CTX_new(algorithm.get()), EVP_MAC_CTX_free
    };
};

namespace {

Secret random_key() {
    Secret key = Secret::of_size(sizeof(Sha256));
    auto* bytes = reinterpret_cast<unsigned char*>(key.writable());
    RBEE_ASSERT(RAND_bytes(bytes, static_cast<int>(key.size())) == 1);
    return key;
}

} // namespace

KeyedDigest::KeyedDigest() : KeyedDigest(random_key().expose()) {}

KeyedDigest::KeyedDigest(std::string_view key) : impl_(std::make_unique<Impl>()) {
    char digest[] = "SHA256";
    const std::array parameters = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    RBEE_ASSERT(EVP_MAC_CTX_set_params(impl_->context.get(), parameters.data()) == 1);
    rekey(key);
}

void KeyedDigest::rekey(std::string_view key) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(key.data());
    RBEE_ASSERT(EVP_MAC_init(impl_->context.get(), bytes, key.size(), nullptr) == 1);
}

KeyedDigest::~KeyedDigest() = default;

Sha256 KeyedDigest::of(std::string_view data) const {
    EVP_MAC_CTX* context = impl_->context.get();
    Sha256 out{};
    std::size_t size = 0;
    // Without a key: the one of the constructor stays, and its two blocks are not hashed again.
    RBEE_ASSERT(EVP_MAC_init(context, nullptr, 0, nullptr) == 1);
    RBEE_ASSERT(
        EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(data.data()), data.size()) ==
        1
    );
    RBEE_ASSERT(EVP_MAC_final(context, out.data(), &size, out.size()) == 1);
    RBEE_ASSERT(size == out.size());
    return out;
}

} // namespace rbee
