#pragma once

#include "rbee/base/result.hpp"
#include "rbee/http/tls.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace rbee::pki {

/// The certificate of a program and what it trusts; PEM files, read again on reload.
struct TlsFiles {
    std::string certificate; ///< Empty: the program speaks plain HTTP.
    std::string key;
    std::string ca; ///< Signs the certificates of peers; empty: nobody is asked for one.

    [[nodiscard]] bool on() const { return !certificate.empty(); }
};

/// Passes when certificate and key are there both or neither. Errc::invalid_argument.
[[nodiscard]] Result<void> check_tls_files(const TlsFiles& files);

/// For the listener. With a CA, clients are asked for certificates.
[[nodiscard]] Result<std::shared_ptr<http::TlsContext>> server_context(const TlsFiles& files);

/// For calls to others: trusts the CA, else those of the system, and shows the certificate.
/// `server_kind` as in http::TlsClientOptions.
[[nodiscard]] Result<std::shared_ptr<http::TlsContext>>
client_context(const TlsFiles& files, std::string_view server_kind);

} // namespace rbee::pki
