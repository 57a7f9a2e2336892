#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/config/paths.hpp"
#include "rbee/http/url.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::auth {

/// Name of the systemd credential that holds a program's token.
inline constexpr std::string_view token_credential = "api_token";

/// Where a program's own token may come from; the first that is there wins, in this order.
struct TokenSources {
    std::optional<int>
        fd;           ///< A descriptor that the parent handed over; read to its end and closed.
    std::string file; ///< --token-file
    /// For CREDENTIALS_DIRECTORY (used when it has an `api_token`) and LLORCH_API_TOKEN_FILE.
    config::Environment environment;
    std::string configured_file; ///< A file named in the settings; LLORCH_API_TOKEN_FILE wins.
    Secret from_environment;     ///< LLORCH_API_TOKEN, see take_from_environment().
    std::string home_file;       ///< Used when it exists, such as $RBEE_HOME/token; empty: none.
};

/// A token and how it came here.
struct FoundToken {
    Secret token;            ///< Empty when no source has one.
    std::string source;      ///< For the log, such as "--token-file"; empty when there is none.
    std::string path;        ///< The file, to be read again on reload; empty when it is none.
    bool credential = false; ///< That file is a systemd credential.
    std::vector<std::string> warnings; ///< For the log: a deprecated source, a short token.
};

/// Finds the token. A source that was named but cannot be used is an error; it never falls through
/// to the next.
[[nodiscard]] Result<FoundToken> find_token(TokenSources sources);

/// Takes a variable out of the process environment `block` (environ): its bytes are overwritten
/// where they lie, so that /proc/<pid>/environ does not show them, and the variable is removed.
/// Empty when it is not set. Before other threads start.
[[nodiscard]] Secret take_from_environment(char** block, const char* name);

/// Bind policy (behaviour.md 8.3): a loopback address may do without a token; any other needs one
/// of 16 characters at least.
[[nodiscard]] Result<void> check_bind(const http::Endpoint& endpoint, const Secret& token);

} // namespace rbee::auth
