#include "rbee/pki/tls_service.hpp"

#include "rbee/pki/files.hpp"

#include <chrono>
#include <utility>

namespace rbee::pki {
namespace {

constexpr std::chrono::days renew_within{30};

} // namespace

Result<void> TlsService::load() {
    if (!files_.on() && files_.ca.empty()) {
        return {};
    }
    auto client = client_context(files_, server_kind_);
    if (!client) {
        return error_of(client);
    }
    if (files_.on()) {
        auto server = server_context(files_);
        const auto pem = server ? read_certificate_file(files_.certificate)
                                : Result<std::string>(error_of(server));
        auto info = pem ? inspect(*pem) : Result<CertificateInfo>(error_of(pem));
        if (!info) {
            return error_of(info);
        }
        server_.use_tls(std::move(*server));
        info_ = std::move(*info);
    }
    client_.use_tls(std::move(*client));
    if (!files_.on()) {
        return {};
    }
    const auto left = std::chrono::floor<std::chrono::days>(info_.not_after - clock_.wall());
    const bool soon = left < renew_within;
    log_.write(
        soon ? telemetry::Level::warn : telemetry::Level::info,
        "tls_certificate",
        soon ? "the TLS certificate must be renewed soon" : "TLS 1.3 with this certificate",
        {{"file", files_.certificate},
         {"sha256", to_hex(info_.fingerprint)},
         {"days_left", left.count()},
         {"peers_need_certificates", mutual()}}
    );
    return {};
}

} // namespace rbee::pki
