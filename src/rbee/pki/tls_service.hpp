#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/server.hpp"
#include "rbee/pki/authority.hpp"
#include "rbee/pki/tls_files.hpp"
#include "rbee/telemetry/log.hpp"

#include <string>

namespace rbee::pki {

/// Gives the certificate of a program to its listener and its client, at the start and again on
/// reload. Belongs to the event loop; server and client must outlive it.
class TlsService {
public:
    struct Parts {
        http::Server& server;
        http::Client& client;
        const Clock& clock;
        const telemetry::Logger& log;
    };
    /// `server_kind`: start of the identity of the servers that the client calls, such as "hive:".
    TlsService(Parts parts, TlsFiles files, std::string server_kind)
        : server_(parts.server), client_(parts.client), clock_(parts.clock), log_(parts.log),
          files_(std::move(files)), server_kind_(std::move(server_kind)) {}

    [[nodiscard]] bool on() const { return files_.on(); }
    /// Peers have to show certificates.
    [[nodiscard]] bool mutual() const { return on() && !files_.ca.empty(); }
    /// Reads the files. New connections use them from now on and old ones go on; when anything is
    /// wrong, nothing changes. Logs how long the certificate is good for.
    [[nodiscard]] Result<void> load();
    /// What the certificate in use says.
    [[nodiscard]] const CertificateInfo& certificate() const { return info_; }

private:
    http::Server& server_;
    http::Client& client_;
    const Clock& clock_;
    telemetry::Logger log_;
    TlsFiles files_;
    std::string server_kind_;
    CertificateInfo info_;
};

} // namespace rbee::pki
