#include "rbee/pki/key.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/pki/openssl.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <utility>

namespace rbee::pki {

void Deleter::operator()(EVP_PKEY* key) const {
    EVP_PKEY_free(key);
}
void Deleter::operator()(X509* certificate) const {
    X509_free(certificate);
}
void Deleter::operator()(X509_req_st* request) const {
    X509_REQ_free(request);
}

Result<Key> Key::generate() {
    std::unique_ptr<EVP_PKEY, Deleter> key(EVP_EC_gen("P-256"));
    if (!key) {
        return openssl_failure("no key could be made");
    }
    return Key(std::move(key));
}

Result<Key> Key::from_pem(const Secret& pem) {
    const PemSource source(pem.expose());
    // No passphrase is ever asked for: that would wait at a terminal.
    const auto refuse = [](char*, int, int, void*) { return -1; };
    std::unique_ptr<EVP_PKEY, Deleter> key(
        PEM_read_bio_PrivateKey(source.get(), nullptr, refuse, nullptr)
    );
    if (!key) {
        return openssl_failure("not a private key in PEM form without a passphrase");
    }
    return Key(std::move(key));
}

Secret Key::to_pem() const {
    PemSink sink;
    const int written = PEM_write_bio_PKCS8PrivateKey(
        sink.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr
    );
    RBEE_ASSERT(written == 1);
    return Secret(sink.text());
}

} // namespace rbee::pki
