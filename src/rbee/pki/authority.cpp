#include "rbee/pki/authority.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/pki/openssl.hpp"
#include "rbee/pki/x509_fields.hpp"

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <utility>

namespace rbee::pki {
namespace {

using Certificate = std::unique_ptr<X509, Deleter>;

std::string to_pem(X509* certificate) {
    const PemSink sink;
    RBEE_ASSERT(PEM_write_bio_X509(sink.get(), certificate) == 1);
    return sink.text();
}

Certificate read_certificate(std::string_view pem) {
    const PemSource source(pem);
    return Certificate(PEM_read_bio_X509(source.get(), nullptr, nullptr, nullptr));
}

/// Version, serial number, validity, subject and key: what every certificate has.
Certificate
blank(EVP_PKEY* key, const std::string& name, WallTime now, std::chrono::days lifetime) {
    Certificate made(X509_new());
    RBEE_ASSERT(made != nullptr);
    X509* certificate = made.get();
    X509_set_version(certificate, X509_VERSION_3);
    BIGNUM* serial = BN_new();
    // 127 random bits: unique without a register of what was signed (RFC 5280, 4.1.2.2).
    RBEE_ASSERT(serial != nullptr && BN_rand(serial, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY));
    BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate));
    BN_free(serial);
    // A little early, for machines whose clocks are behind.
    const auto early = std::chrono::system_clock::to_time_t(now - std::chrono::minutes(10));
    const auto end = std::chrono::system_clock::to_time_t(now + lifetime);
    ASN1_TIME_set(X509_getm_notBefore(certificate), early);
    ASN1_TIME_set(X509_getm_notAfter(certificate), end);
    set_common_name(X509_get_subject_name(certificate), name);
    X509_set_pubkey(certificate, key);
    return made;
}

bool add(X509* certificate, X509* issuer, int field, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, field, value);
    const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

} // namespace

Authority::Authority(Key key, Certificate certificate, std::string pem)
    : key_(std::move(key)), certificate_(std::move(certificate)), pem_(std::move(pem)),
      fingerprint_(digest_of(certificate_.get())) {}

Result<Authority> Authority::create(const std::string& name, WallTime now) {
    auto key = Key::generate();
    if (!key) {
        return error_of(key);
    }
    Certificate made = blank(key->get(), name, now, authority_lifetime);
    X509* certificate = made.get();
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    const bool good =
        add(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        add(certificate, certificate, NID_subject_key_identifier, "hash") &&
        X509_sign(certificate, key->get(), EVP_sha256()) != 0;
    if (!good) {
        return openssl_failure("the certificate of the CA could not be made");
    }
    std::string pem = to_pem(certificate);
    return Authority(std::move(*key), std::move(made), std::move(pem));
}

Result<Authority> Authority::from_pem(std::string_view certificate, const Secret& key) {
    auto private_key = Key::from_pem(key);
    if (!private_key) {
        return error_of(private_key);
    }
    Certificate read = read_certificate(certificate);
    if (!read) {
        return openssl_failure("not a certificate in PEM form");
    }
    if (X509_check_private_key(read.get(), private_key->get()) != 1) {
        return openssl_failure("the key of the CA does not fit its certificate");
    }
    if (X509_check_ca(read.get()) != 1) {
        return fail(Errc::corrupt, "the certificate is not that of a CA");
    }
    std::string pem = to_pem(read.get());
    return Authority(std::move(*private_key), std::move(read), std::move(pem));
}

Result<std::string> Authority::issue(const Key& key, const Subject& subject, WallTime now) const {
    return certify(key.get(), subject, now);
}

Result<std::string>
Authority::sign(std::string_view request, const Subject& subject, WallTime now) const {
    const PemSource source(request);
    const std::unique_ptr<X509_REQ, Deleter> read(
        PEM_read_bio_X509_REQ(source.get(), nullptr, nullptr, nullptr)
    );
    EVP_PKEY* key = read ? X509_REQ_get0_pubkey(read.get()) : nullptr;
    if (key == nullptr || X509_REQ_verify(read.get(), key) != 1) {
        Error error = openssl_failure("csr is not a valid certificate request").error();
        error.code = Errc::invalid_argument;
        return std::unexpected(std::move(error));
    }
    if (!is_p256(key)) {
        return fail(Errc::invalid_argument, "csr must have an EC key on the curve P-256");
    }
    return certify(key, subject, now);
}

Result<std::string> Authority::certify(EVP_PKEY* key, const Subject& subject, WallTime now) const {
    for (const std::string& host : subject.hosts) {
        if (const auto good = check_host(host); !good) {
            return error_of(good);
        }
    }
    const Certificate made = blank(key, subject.uri, now, certificate_lifetime);
    X509* certificate = made.get();
    X509* issuer = certificate_.get();
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    const bool good = add(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
                      add(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
                      add(certificate, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
                      add(certificate, issuer, NID_subject_key_identifier, "hash") &&
                      add(certificate, issuer, NID_authority_key_identifier, "keyid") &&
                      set_names(certificate, subject) &&
                      X509_sign(certificate, key_.get(), EVP_sha256()) != 0;
    if (!good) {
        return openssl_failure("the certificate could not be made");
    }
    return to_pem(certificate) + pem_;
}

Result<CertificateInfo> inspect(std::string_view pem) {
    const Certificate certificate = read_certificate(pem);
    if (!certificate) {
        return openssl_failure("not a certificate in PEM form");
    }
    CertificateInfo info;
    info.fingerprint = digest_of(certificate.get());
    info.authority = X509_check_ca(certificate.get()) == 1;
    info.not_before = time_of(X509_get0_notBefore(certificate.get()));
    info.not_after = time_of(X509_get0_notAfter(certificate.get()));
    const Subject names = names_of(certificate.get());
    info.uri = names.uri;
    info.hosts = names.hosts;
    return info;
}

} // namespace rbee::pki
