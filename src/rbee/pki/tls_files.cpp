#include "rbee/pki/tls_files.hpp"

namespace rbee::pki {

Result<void> check_tls_files(const TlsFiles& files) {
    if (files.certificate.empty() != files.key.empty()) {
        return fail(
            Errc::invalid_argument, "tls-cert and tls-key belong together: give both or neither"
        );
    }
    return {};
}

Result<std::shared_ptr<http::TlsContext>> server_context(const TlsFiles& files) {
    return http::TlsContext::server(
        {.certificate = files.certificate, .key = files.key, .client_ca = files.ca}
    );
}

Result<std::shared_ptr<http::TlsContext>>
client_context(const TlsFiles& files, std::string_view server_kind) {
    return http::TlsContext::client(
        {.ca_file = files.ca,
         .certificate = files.certificate,
         .key = files.key,
         .pinned_ca = {},
         .server_kind = std::string(server_kind)}
    );
}

} // namespace rbee::pki
