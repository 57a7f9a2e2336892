#pragma once

#include "rbee/base/sha256.hpp"
#include "rbee/pki/authority.hpp"

#include <openssl/types.h>

#include <string>

namespace rbee::pki {

// Fields of X.509 certificates, by OpenSSL's own types so that no text of ours is ever parsed as
// its configuration language.

/// SHA-256 of the DER form.
[[nodiscard]] Sha256 digest_of(const X509* certificate);
/// Sets the common name, cut to the 64 characters that it may have.
void set_common_name(X509_NAME* name, const std::string& text);
/// Adds the subject alternative names; false when OpenSSL refuses. Hosts are checked before.
[[nodiscard]] bool set_names(X509* certificate, const Subject& subject);
/// Reads them back.
[[nodiscard]] Subject names_of(const X509* certificate);
[[nodiscard]] WallTime time_of(const ASN1_TIME* time);
[[nodiscard]] bool is_p256(const EVP_PKEY* key);

} // namespace rbee::pki
