#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/sha256.hpp"
#include "rbee/http/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::auth {

/// "token:" and the first 6 hexadecimal digits of the token's SHA-256: enough to tell tokens apart
/// in logs, too little to help a guess.
[[nodiscard]] std::string fingerprint(std::string_view token);

/// Result of checking one request.
struct Verdict {
    bool allowed = false;
    std::string actor;      ///< Fingerprint, when a token was presented.
    std::string log_reason; ///< missing_header, invalid_format, empty_token or invalid_token.
    Error error;            ///< What to answer when not allowed.
};

/// Checks bearer tokens (RFC 6750). Read-only after construction, so thread-safe. Tokens are
/// compared as fixed-length digests, all of them, without early exit.
class Authenticator {
public:
    /// Without tokens every request is allowed: only for loopback (see bind policy).
    void accept(const Secret& token);
    [[nodiscard]] bool open() const { return digests_.empty(); }
    [[nodiscard]] Verdict check(const http::Headers& headers) const;

private:
    std::vector<Sha256> digests_;
};

/// Reads a secret from a file that only its owner can read (behaviour.md 9): mode without group and
/// other bits, one line, not empty, at most 1 MiB. Messages carry the path, never the content.
[[nodiscard]] Result<Secret> load_token_file(const std::string& path);

/// Makes a new random token of 43 URL-safe characters (256 bits).
[[nodiscard]] Secret make_token();

/// Writes `token` to a new file of mode 0600, by rename, so that no reader sees half of it.
[[nodiscard]] Result<void> store_token_file(const std::string& path, const Secret& token);

} // namespace rbee::auth
