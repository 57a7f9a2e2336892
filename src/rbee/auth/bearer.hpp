#pragma once

#include "rbee/auth/scopes.hpp"
#include "rbee/auth/token.hpp"
#include "rbee/auth/token_set.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/keyed_digest.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/sha256.hpp"
#include "rbee/http/message.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::auth {

/// Name of a program's own token, which is not in the file of named tokens.
inline constexpr std::string_view own_token_name = "main";

/// Result of checking one request.
struct Verdict {
    bool allowed = false;
    std::string actor;     ///< Fingerprint, when a token was presented; "dev" in dev mode.
    std::string principal; ///< Name of the token that was accepted; "dev" in dev mode.
    Scopes scopes;         ///< What it may do.
    /// missing_header, invalid_format, empty_token, invalid_token, expired_token or token_in_query.
    std::string log_reason;
    Error error; ///< What to answer when not allowed.
};

/// The token of an Authorization field value (RFC 6750 §2.1): the scheme in any case, exactly one
/// space, no control characters. `log_reason` says why there is none. The view is into `value`.
struct Credentials {
    std::string_view token;
    std::string_view log_reason; ///< Empty when `token` is there.
};
[[nodiscard]] Credentials parse_authorization(std::string_view value);

/// Checks bearer tokens (RFC 6750). What is compared are keyed digests of fixed length, with every
/// stored token and without early exit, so that time tells nothing about stored tokens. Belongs to
/// the loop of its program.
///
/// Without tokens it is open (dev mode), which only loopback may be; once it has been given tokens
/// it never opens again, even when all are revoked.
class Authenticator {
public:
    /// Takes one token with all rights, in addition to what is there.
    void accept(const Secret& token);
    /// Takes these tokens in place of all accepted before; granted ones stay.
    void replace(const TokenSet& tokens);
    /// Takes a token that was made at run time, in place of one with that name. Dev mode stays on.
    void grant(std::string name, const Secret& token, Scopes scopes);
    /// The same for one of which only the digest is known.
    void grant(TokenRecord record);
    /// Forgets a granted token. False when there is none of that name.
    bool revoke(std::string_view name);

    [[nodiscard]] bool open() const { return open_; }
    /// How many tokens are known, granted ones included.
    [[nodiscard]] std::size_t size() const { return accepted_.size() + granted_.size(); }
    /// Whether `token` is one of them, expired ones included. How long it takes depends on the
    /// length of `token` and on how many are stored, on nothing else.
    [[nodiscard]] bool knows(std::string_view token) const { return find(token) != 0; }
    /// Decides about a request by its head alone.
    [[nodiscard]] Verdict check(const http::RequestHead& head, WallTime now) const;

private:
    struct Entry {
        TokenRecord record;
        Sha256 keyed{};    ///< What is compared.
        std::string actor; ///< Fingerprint of the token.
    };
    [[nodiscard]] Entry make_entry(TokenRecord record) const;
    /// The number of the entry, from 1, accepted ones first; 0 when there is none.
    [[nodiscard]] std::size_t find(std::string_view token) const;
    [[nodiscard]] const Entry& entry(std::size_t number) const;

    KeyedDigest keyed_;
    std::vector<Entry> accepted_;
    std::vector<Entry> granted_;
    bool open_ = true;
};

} // namespace rbee::auth
