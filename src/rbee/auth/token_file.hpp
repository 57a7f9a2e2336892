#pragma once

#include "rbee/auth/secret_file.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/unique_fd.hpp"

#include <string>

namespace rbee::auth {

/// Reads a token from a file of one line under the rules of secret_file.hpp. White space around it
/// is dropped; an empty file, only white space and several lines are refused, each with its own
/// text. Messages start with "Failed to load API token" and carry the path, never the content.
[[nodiscard]] Result<Secret> load_token_file(const std::string& path);
/// The same with rules of the caller's.
[[nodiscard]] Result<Secret> load_token_file(const std::string& path, const SecretFileRules& rules);

/// The same from an open descriptor, which is read to its end; `name` stands in messages. There are
/// no rules about who owns it: whoever opened it handed it over.
[[nodiscard]] Result<Secret> load_token_fd(int fd, const std::string& name);

/// The reading end of a pipe that holds `token`, to be inherited by a child that is started with
/// `--token-fd`: neither its arguments nor its environment show it. Errc::io, Errc::too_large.
[[nodiscard]] Result<UniqueFd> hand_over(const Secret& token);

/// Writes `token` to a new file of mode 0600, by rename, so that no reader sees half of it.
[[nodiscard]] Result<void> store_token_file(const std::string& path, const Secret& token);

} // namespace rbee::auth
