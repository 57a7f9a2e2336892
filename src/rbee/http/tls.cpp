#include "rbee/http/tls.hpp"

#include "rbee/base/assert.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace rbee::http {

void TlsDeleter::operator()(SSL_CTX* context) const {
    SSL_CTX_free(context);
}
void TlsDeleter::operator()(SSL* link) const {
    SSL_free(link);
}
void TlsDeleter::operator()(ssl_session_st* session) const {
    SSL_SESSION_free(session);
}

namespace {

constexpr std::size_t sessions_max = 256;
constexpr std::string_view session_context = "rbee";

std::string reason_of(unsigned long code) {
    const char* reason = ERR_reason_error_string(code);
    return reason == nullptr ? "unknown reason" : reason;
}

std::unexpected<Error> refuse_file(std::string_view what, const std::string& path) {
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    const std::string why = ERR_SYSTEM_ERROR(code)
                                ? std::generic_category().message(ERR_GET_REASON(code))
                                : reason_of(code);
    return fail(Errc::invalid_argument, fmt::format("{} {} cannot be used: {}", what, path, why));
}

Result<void> check_key_mode(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) {
        return fail(
            Errc::not_found,
            fmt::format(
                "TLS key {} cannot be read: {}", path, std::generic_category().message(errno)
            )
        );
    }
    if ((info.st_mode & 077U) != 0) {
        return fail(
            Errc::forbidden,
            fmt::format(
                "TLS key {} can be read by others (mode {:04o}); chmod 600 {}",
                path,
                info.st_mode & 07777U,
                path
            )
        );
    }
    return {};
}

Result<void>
use_certificate(SSL_CTX* context, const std::string& certificate, const std::string& key) {
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
        return refuse_file("TLS certificate", certificate);
    }
    if (const auto mode = check_key_mode(key); !mode) {
        return mode;
    }
    // Fails when the key is not that of the certificate, too.
    if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
        return refuse_file("TLS key", key);
    }
    return {};
}

void set_common(SSL_CTX* context) {
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_mode(
        context,
        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE |
            SSL_MODE_RELEASE_BUFFERS
    );
    SSL_CTX_set_read_ahead(context, 1); // one system call for a record, not two
}

} // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsServerFiles& files) {
    std::shared_ptr<TlsContext> made(new TlsContext);
    made->context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX* context = made->context_.get();
    RBEE_ASSERT(context != nullptr);
    set_common(context);
    SSL_CTX_set_session_id_context(
        context,
        reinterpret_cast<const unsigned char*>(session_context.data()),
        session_context.size()
    );
    if (const auto used = use_certificate(context, files.certificate, files.key); !used) {
        return error_of(used);
    }
    if (!files.client_ca.empty()) {
        const char* path = files.client_ca.c_str();
        STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(path);
        if (names == nullptr || SSL_CTX_load_verify_file(context, path) != 1) {
            sk_X509_NAME_pop_free(names, X509_NAME_free);
            return refuse_file("TLS client CA", files.client_ca);
        }
        SSL_CTX_set_client_CA_list(context, names);
        // Without one a client is still served: routes that need a certificate say so.
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    }
    return made;
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsClientOptions& options) {
    std::shared_ptr<TlsContext> made(new TlsContext);
    made->context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* context = made->context_.get();
    RBEE_ASSERT(context != nullptr);
    set_common(context);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    made->server_kind_ = options.server_kind;
    ERR_clear_error();
    if (options.pinned_ca) {
        made->pinned_ca_ = options.pinned_ca;
        SSL_CTX_set_cert_verify_callback(context, &TlsContext::verify_pinned, made.get());
    } else if (options.ca_file.empty()) {
        SSL_CTX_set_default_verify_paths(context);
    } else if (SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1) {
        return refuse_file("CA file", options.ca_file);
    }
    if (!options.certificate.empty()) {
        if (const auto used = use_certificate(context, options.certificate, options.key); !used) {
            return error_of(used);
        }
    }
    SSL_CTX_set_session_cache_mode(
        context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE
    );
    SSL_CTX_sess_set_new_cb(context, &TlsContext::keep_session);
    return made;
}

int TlsContext::keep_session(SSL* link, ssl_session_st* session) {
    auto* owner = static_cast<TlsLink*>(SSL_get_app_data(link));
    auto& sessions = owner->context_->sessions_;
    if (sessions.size() >= sessions_max && !sessions.contains(owner->peer_)) {
        sessions.clear(); // losing them costs one full handshake each
    }
    sessions[owner->peer_].reset(session);
    return 1; // we own it now
}

int TlsContext::verify_pinned(X509_STORE_CTX* chain, void* self) {
    const Sha256 pin = static_cast<TlsContext*>(self)->pinned_ca_.value_or(Sha256{});
    STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(chain);
    for (int i = 0; i < sk_X509_num(sent); ++i) {
        X509* candidate = sk_X509_value(sent, i);
        Sha256 digest{};
        unsigned int size = 0;
        const bool hashed = X509_digest(candidate, EVP_sha256(), digest.data(), &size) == 1;
        if (!hashed || digest != pin) {
            continue;
        }
        STACK_OF(X509)* trusted = sk_X509_new_null();
        sk_X509_push(trusted, candidate);
        X509_STORE_CTX_set0_trusted_stack(chain, trusted);
        const int good = X509_verify_cert(chain);
        sk_X509_free(trusted);
        return good;
    }
    X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_UNTRUSTED);
    return 0;
}

} // namespace rbee::http
