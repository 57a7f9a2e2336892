#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"

#include <openssl/types.h>

#include <memory>
#include <utility>

struct X509_req_st; // X509_REQ, which openssl/types.h does not name

namespace rbee::pki {

/// Frees OpenSSL objects.
struct Deleter {
    void operator()(EVP_PKEY* key) const;
    void operator()(X509* certificate) const;
    void operator()(X509_req_st* request) const;
};

/// A private key on the curve P-256 (RFC 5480). Not thread-safe.
class Key {
public:
    /// A new random key.
    [[nodiscard]] static Result<Key> generate();
    /// Reads PKCS #8 PEM. Fails with Errc::corrupt; the message carries nothing of the key.
    [[nodiscard]] static Result<Key> from_pem(const Secret& pem);

    [[nodiscard]] Secret to_pem() const;
    /// For OpenSSL calls; lives as long as this.
    [[nodiscard]] EVP_PKEY* get() const { return key_.get(); }

private:
    explicit Key(std::unique_ptr<EVP_PKEY, Deleter> key) : key_(std::move(key)) {}
    std::unique_ptr<EVP_PKEY, Deleter> key_;
};

} // namespace rbee::pki
