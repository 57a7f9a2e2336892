#pragma once

#include "rbee/auth/bearer.hpp"
#include "rbee/auth/token_set.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::auth {

/// Most tokens that one file may hold.
inline constexpr std::size_t named_tokens_max = 1024;
/// Longest name of a token, in bytes.
inline constexpr std::size_t token_name_bytes_max = 64;

/// Named tokens, as `rbee token` keeps them in tokens.toml:
///
///   [[token]]
///   name = "laptop"
///   scopes = ["infer", "models"]
///   sha256 = "<64 hexadecimal digits>"
///   created = "2026-01-31T08:00:00.000Z"
///   expires = "2026-03-02T08:00:00.000Z"    # optional
///
/// Digests only, no tokens. Everything unknown, missing or repeated is refused, with the line where
/// there is one: half a file never counts. `name` stands in messages.
[[nodiscard]] Result<TokenSet> parse_tokens(std::string_view text, std::string name);
/// The same from a file under the rules of read_secret_file.
[[nodiscard]] Result<TokenSet> read_tokens(const std::string& path);
/// The text of such a file; parse_tokens gives the same set back.
[[nodiscard]] std::string format_tokens(const TokenSet& tokens);

/// Names are 1 to 64 letters, digits, `_`, `-` and `.`; "main" and "dev" have a meaning already.
[[nodiscard]] Result<void> check_token_name(std::string_view name);

/// Adds a record to the file, which is made when it is not there. Errc::conflict when the name is
/// taken. Writers wait for each other (flock on `<path>.lock`); readers see the old file or the
/// new.
[[nodiscard]] Result<void> add_token(const std::string& path, TokenRecord record);
/// Removes the record of that name. Errc::not_found.
[[nodiscard]] Result<void> remove_token(const std::string& path, std::string_view name);

/// Where the tokens that a program accepts are, for loading them at the start and again later.
struct TokenFiles {
    std::string own;             ///< The program's own token; empty: it came from elsewhere, stays.
    bool credential = false;     ///< `own` is a systemd credential.
    std::string named;           ///< tokens.toml; empty: none.
    bool named_required = false; ///< False: no file means no named tokens.
};

/// What load_tokens took.
struct LoadedTokens {
    Secret own;                       ///< What this program sends; empty when it has none.
    std::vector<std::string> names;   ///< Of all that are accepted now, granted ones aside.
    std::vector<TokenRecord> records; ///< In the same order.
    std::size_t named = 0;            ///< How many tokens came from the file.
    bool own_changed = false;         ///< The file held another token than before.
};

/// Reads all files and then gives the set to `authenticator` at once. On any error nothing changes.
/// `own` is the program's own token so far, empty when it has none. With neither an own token nor a
/// file of named ones, an open authenticator stays open. Call it at the start, on SIGHUP and when a
/// file has changed.
[[nodiscard]] Result<LoadedTokens>
load_tokens(Authenticator& authenticator, const TokenFiles& files, const Secret& own);

} // namespace rbee::auth
