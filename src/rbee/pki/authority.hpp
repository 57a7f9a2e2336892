#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/sha256.hpp"
#include "rbee/pki/key.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::pki {

inline constexpr std::chrono::days authority_lifetime{3650};
inline constexpr std::chrono::days certificate_lifetime{365};

/// What a certificate says: the identity as a URI such as "hive:attic" (RFC 5280, 4.2.1.6) and the
/// host names and addresses under which its owner is reached.
struct Subject {
    std::string uri;
    std::vector<std::string> hosts;
};

/// Passes when `host` is a DNS name (no wildcard) or a numeric address. Errc::invalid_argument.
[[nodiscard]] Result<void> check_host(std::string_view host);

/// A request to sign (PKCS #10, PEM) for the public half of `key`.
[[nodiscard]] Result<std::string> make_request(const Key& key);

/// What can be read from a certificate.
struct CertificateInfo {
    Sha256 fingerprint{}; ///< SHA-256 of its DER form.
    std::string uri;
    std::vector<std::string> hosts;
    WallTime not_before;
    WallTime not_after;
    bool authority = false; ///< May sign others.
};

/// Reads the first certificate of a PEM text. Errc::corrupt when there is none.
[[nodiscard]] Result<CertificateInfo> inspect(std::string_view pem);

/// A private certificate authority. Not thread-safe; signing takes under a millisecond.
class Authority {
public:
    /// A new one with a new key. `name` is for people only.
    [[nodiscard]] static Result<Authority> create(const std::string& name, WallTime now);
    /// Fails with Errc::corrupt when the two do not belong together or are not those of a CA.
    [[nodiscard]] static Result<Authority>
    from_pem(std::string_view certificate, const Secret& key);

    [[nodiscard]] const std::string& certificate() const { return pem_; }
    [[nodiscard]] const Key& key() const { return key_; }
    [[nodiscard]] const Sha256& fingerprint() const { return fingerprint_; }

    /// A certificate for TLS servers and clients, as PEM with the one of the CA behind it.
    [[nodiscard]] Result<std::string>
    issue(const Key& key, const Subject& subject, WallTime now) const;
    /// The same for a request, whose own wishes do not count: only its key is taken, and only if
    /// the asker has the private half. Errc::invalid_argument when the request is not good.
    [[nodiscard]] Result<std::string>
    sign(std::string_view request, const Subject& subject, WallTime now) const;

private:
    Authority(Key key, std::unique_ptr<X509, Deleter> certificate, std::string pem);
    [[nodiscard]] Result<std::string>
    certify(EVP_PKEY* key, const Subject& subject, WallTime now) const;

    Key key_;
    std::unique_ptr<X509, Deleter> certificate_;
    std::string pem_;
    Sha256 fingerprint_{};
};

} // namespace rbee::pki
