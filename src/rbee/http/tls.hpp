#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/sha256.hpp"
#include "rbee/http/url.hpp"

#include <openssl/types.h>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

struct ssl_session_st; // SSL_SESSION, which openssl/types.h does not name

namespace rbee::http {

/// Frees OpenSSL objects.
struct TlsDeleter {
    void operator()(SSL_CTX* context) const;
    void operator()(SSL* link) const;
    void operator()(ssl_session_st* session) const;
};

/// PEM files of a server.
struct TlsServerFiles {
    std::string certificate; ///< With the certificates that lead to its CA, if any.
    std::string key;         ///< Mode 0600.
    std::string client_ca;   ///< Certificates of clients are asked for and checked when not empty.
};

/// What a client trusts and shows.
struct TlsClientOptions {
    std::string ca_file;             ///< Trusted; empty: those of the system.
    std::string certificate;         ///< Shown to servers that ask; may be empty.
    std::string key;                 ///< Of that certificate.
    std::optional<Sha256> pinned_ca; ///< Only the CA with this SHA-256, which the server sends.
    /// What the URI in a server's certificate starts with, such as "queen:", if it has one: in a
    /// private CA every hive has a certificate, too, and none of them may pose as the queen.
    std::string server_kind;
};

/// Keys and trust of one side, for TLS 1.3 only (RFC 8446). Made once and shared by connections: a
/// reload makes a new one, and old connections keep theirs. Belongs to one event loop.
class TlsContext {
public:
    /// Fails with Errc::invalid_argument, naming the file, when one cannot be used.
    [[nodiscard]] static Result<std::shared_ptr<TlsContext>> server(const TlsServerFiles& files);
    [[nodiscard]] static Result<std::shared_ptr<TlsContext>> client(const TlsClientOptions& options
    );

    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;
    ~TlsContext() = default;

private:
    friend class TlsLink;
    using Session = std::unique_ptr<ssl_session_st, TlsDeleter>;
    TlsContext() = default;
    static int keep_session(SSL* link, ssl_session_st* session);
    static int verify_pinned(X509_STORE_CTX* chain, void* self);

    std::unique_ptr<SSL_CTX, TlsDeleter> context_;
    std::optional<Sha256> pinned_ca_;
    std::string server_kind_;
    std::map<std::string, Session> sessions_; ///< Latest ticket of each server, for resumption.
};

/// TLS over a non-blocking socket, without waiting: each call does what it can at once and says
/// what to wait for. Works on the socket itself, so that nothing is copied twice and one can look
/// whether the peer is there. Belongs to one event loop.
class TlsLink {
public:
    enum class Step {
        done,
        want_read,  ///< Again when the socket is readable.
        want_write, ///< Again when the socket is writable.
        ended,      ///< The peer has said goodbye (close_notify).
        failed,     ///< See failure().
    };

    [[nodiscard]] static Result<std::unique_ptr<TlsLink>>
    accept(std::shared_ptr<TlsContext> context, int socket);
    /// The server's certificate must be for `peer.host`.
    [[nodiscard]] static Result<std::unique_ptr<TlsLink>>
    connect(std::shared_ptr<TlsContext> context, int socket, const Endpoint& peer);

    [[nodiscard]] Step handshake();
    /// `size` is set when done, at least 1.
    [[nodiscard]] Step read(std::span<char> into, std::size_t& size);
    /// Takes bytes from the front of `bytes` until none is left (done) or it has to wait; then the
    /// call is repeated with what is left.
    [[nodiscard]] Step write(std::string_view& bytes);
    /// done: bytes of the application are there; want_read: nothing yet.
    [[nodiscard]] Step look();
    /// After the handshake of a client: the server is the one that was meant, by the URI in its
    /// certificate. Fails with CERTIFICATE_UNTRUSTED.
    [[nodiscard]] Result<void> check_server() const;
    /// Says goodbye (close_notify) if that is possible at once.
    void say_goodbye();

    /// Why the last call failed, for people.
    [[nodiscard]] Error failure() const;
    /// First URI of the subject alternative names of the peer's verified certificate, or empty.
    [[nodiscard]] std::string peer_identity() const;
    /// The handshake used a session from before.
    [[nodiscard]] bool resumed() const;

private:
    friend class TlsContext;
    TlsLink(std::shared_ptr<TlsContext> context, std::string peer)
        : context_(std::move(context)), peer_(std::move(peer)) {}
    [[nodiscard]] static Result<std::unique_ptr<TlsLink>>
    make(std::shared_ptr<TlsContext> context, int socket, std::string peer);
    [[nodiscard]] Step step_of(int result);

    std::shared_ptr<TlsContext> context_;
    int socket_ = -1; ///< Belongs to whoever made this.
    std::unique_ptr<SSL, TlsDeleter> link_;
    std::string peer_;        ///< "host:port" of the server; empty on the server's side.
    std::string identity_;    ///< What the server must be, see Endpoint.
    unsigned long error_ = 0; ///< OpenSSL's code of the failure.
    bool ready_ = false;
    bool broken_ = false;
};

} // namespace rbee::http
