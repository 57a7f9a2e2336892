#include "rbee/base/assert.hpp"
#include "rbee/http/tls.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace rbee::http {
namespace {

// A BIO over a socket. OpenSSL's own writes with write(), which raises SIGPIPE when the peer has
// gone; this one does not. The descriptor stays with its owner.

int socket_of(BIO* bio) {
    return *static_cast<const int*>(BIO_get_data(bio));
}

bool again(ssize_t result) {
    return result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

int bio_write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t sent =
        ::send(socket_of(bio), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (again(sent)) {
        BIO_set_retry_write(bio);
    }
    return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* into, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t got = ::recv(socket_of(bio), into, static_cast<std::size_t>(size), MSG_DONTWAIT);
    if (again(got)) {
        BIO_set_retry_read(bio);
    } else if (got == 0) {
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    }
    return static_cast<int>(got);
}

long bio_control(BIO* bio, int command, long, void*) {
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return static_cast<long>(BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0);
    default:
        return 0;
    }
}

const BIO_METHOD* socket_method() {
    static const BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rbee socket");
        RBEE_ASSERT(made != nullptr);
        BIO_meth_set_write(made, bio_write);
        BIO_meth_set_read(made, bio_read);
        BIO_meth_set_ctrl(made, bio_control);
        return made;
    }();
    return method;
}

/// Sets what the server's certificate must be for; names are sent along, too (SNI).
bool expect_host(SSL* link, const std::string& host) {
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(host, error);
    if (!error) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(link), address.to_string().c_str()) ==
               1;
    }
    SSL_set_hostflags(link, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(link, host.c_str()) == 1 &&
           SSL_set1_host(link, host.c_str()) == 1;
}

std::string first_uri(const X509* certificate) {
    std::string out;
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)
    );
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && out.empty(); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI) {
            const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
            out.assign(
                reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                static_cast<std::size_t>(ASN1_STRING_length(uri))
            );
        }
    }
    GENERAL_NAMES_free(names);
    return out;
}

} // namespace

Result<std::unique_ptr<TlsLink>>
TlsLink::make(std::shared_ptr<TlsContext> context, int socket, std::string peer) {
    std::unique_ptr<TlsLink> made(new TlsLink(std::move(context), std::move(peer)));
    made->link_.reset(SSL_new(made->context_->context_.get()));
    BIO* bio = BIO_new(socket_method());
    if (!made->link_ || bio == nullptr) {
        BIO_free(bio);
        return fail(Errc::resources, "no memory for a TLS connection");
    }
    made->socket_ = socket;
    BIO_set_data(bio, &made->socket_);
    BIO_set_init(bio, 1);
    SSL_set_bio(made->link_.get(), bio, bio);
    SSL_set_app_data(made->link_.get(), made.get());
    return made;
}

Result<std::unique_ptr<TlsLink>> TlsLink::accept(std::shared_ptr<TlsContext> context, int socket) {
    auto made = make(std::move(context), socket, {});
    if (made) {
        SSL_set_accept_state((*made)->link_.get());
    }
    return made;
}

Result<std::unique_ptr<TlsLink>>
TlsLink::connect(std::shared_ptr<TlsContext> context, int socket, const Endpoint& peer) {
    auto made = make(std::move(context), socket, peer.authority());
    if (!made) {
        return made;
    }
    (*made)->identity_ = peer.identity;
    SSL* link = (*made)->link_.get();
    SSL_set_connect_state(link);
    if (!expect_host(link, peer.host)) {
        return fail(Errc::invalid_argument, "no certificate can be for the host " + peer.host);
    }
    auto& sessions = (*made)->context_->sessions_;
    if (const auto known = sessions.find((*made)->peer_); known != sessions.end()) {
        SSL_set_session(link, known->second.get());
        sessions.erase(known); // a ticket is for one use (RFC 8446, appendix C.4)
    }
    return made;
}

TlsLink::Step TlsLink::step_of(int result) {
    switch (SSL_get_error(link_.get(), result)) {
    case SSL_ERROR_NONE:
        return Step::done;
    case SSL_ERROR_WANT_READ:
        return Step::want_read;
    case SSL_ERROR_WANT_WRITE:
        return Step::want_write;
    case SSL_ERROR_ZERO_RETURN:
        return Step::ended;
    default:
        error_ = ERR_peek_last_error();
        ERR_clear_error();
        broken_ = true;
        return Step::failed;
    }
}

TlsLink::Step TlsLink::handshake() {
    ERR_clear_error();
    const Step step = step_of(SSL_do_handshake(link_.get()));
    ready_ = step == Step::done;
    return step;
}

TlsLink::Step TlsLink::read(std::span<char> into, std::size_t& size) {
    ERR_clear_error();
    return step_of(SSL_read_ex(link_.get(), into.data(), into.size(), &size));
}

TlsLink::Step TlsLink::write(std::string_view& bytes) {
    while (!bytes.empty()) {
        ERR_clear_error();
        std::size_t size = 0;
        const Step step = step_of(SSL_write_ex(link_.get(), bytes.data(), bytes.size(), &size));
        if (step != Step::done) {
            return step;
        }
        bytes.remove_prefix(size);
    }
    return Step::done;
}

TlsLink::Step TlsLink::look() {
    ERR_clear_error();
    char byte = 0;
    std::size_t size = 0;
    return step_of(SSL_peek_ex(link_.get(), &byte, 1, &size));
}

Result<void> TlsLink::check_server() const {
    const std::string identity = peer_identity();
    const bool right_kind = identity.empty() || identity.starts_with(context_->server_kind_);
    if (right_kind && (identity_.empty() || identity == identity_)) {
        return {};
    }
    return fail(
        Errc::unavailable,
        fmt::format("the certificate of {} is not trusted: it is that of another program", peer_),
        "CERTIFICATE_UNTRUSTED"
    );
}

void TlsLink::say_goodbye() {
    if (!ready_ || broken_) {
        return;
    }
    ready_ = false;
    ERR_clear_error();
    (void)SSL_shutdown(link_.get()); // one attempt: a peer that takes nothing will see the end
    ERR_clear_error();
}

Error TlsLink::failure() const {
    const long verdict = SSL_get_verify_result(link_.get());
    const int reason = ERR_GET_REASON(error_);
    const bool about_certificate = reason == SSL_R_CERTIFICATE_VERIFY_FAILED;
    if (about_certificate && verdict != X509_V_OK) {
        return {
            Errc::unavailable,
            fmt::format(
                "the certificate of {} is not trusted: {}",
                peer_.empty() ? "the client" : peer_,
                X509_verify_cert_error_string(verdict)
            ),
            "CERTIFICATE_UNTRUSTED"
        };
    }
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
        return {Errc::unavailable, "the peer does not speak TLS", "NOT_TLS"};
    }
    if (error_ == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        return {Errc::io, "the peer ended the TLS connection without a goodbye", {}};
    }
    const char* text = ERR_reason_error_string(error_);
    return {Errc::io, fmt::format("TLS: {}", text == nullptr ? "unknown failure" : text), {}};
}

std::string TlsLink::peer_identity() const {
    X509* certificate = SSL_get1_peer_certificate(link_.get());
    if (certificate == nullptr) {
        return {};
    }
    std::string out;
    if (SSL_get_verify_result(link_.get()) == X509_V_OK) {
        out = first_uri(certificate);
    }
    X509_free(certificate);
    return out;
}

bool TlsLink::resumed() const {
    return SSL_session_reused(link_.get()) == 1;
}

} // namespace rbee::http
