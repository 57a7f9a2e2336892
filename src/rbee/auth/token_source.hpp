#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/config/paths.hpp"
#include "rbee/http/url.hpp"

#include <string>

namespace rbee::auth {

/// A bearer token and where it came from.
struct FoundToken {
    Secret token;       ///< Empty when there is none.
    std::string source; ///< --token-file, LLORCH_API_TOKEN_FILE, LLORCH_API_TOKEN, or empty.
    std::string path;   ///< Of the file, when it came from one.
};

/// The token of a program: the file `path`, LLORCH_API_TOKEN_FILE or LLORCH_API_TOKEN, the first
/// that is given. Fails when the file cannot be used.
[[nodiscard]] Result<FoundToken>
find_token(const std::string& path, const config::Environment& environment);

/// The bind policy (behaviour.md 8.3): only loopback may do without a token, other addresses need
/// one of 16 characters at least.
[[nodiscard]] Result<void> check_bind(const http::Endpoint& endpoint, const Secret& token);

} // namespace rbee::auth
