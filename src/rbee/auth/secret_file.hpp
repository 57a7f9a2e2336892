#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/config/paths.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace rbee::auth {

/// Largest file of a secret.
inline constexpr std::size_t secret_bytes_max = 1024UL * 1024;

/// What read_secret_file() demands.
struct SecretFileRules {
    std::string what = "secret file"; ///< Stands in messages.
    std::size_t bytes_max = secret_bytes_max;
    /// The opened file must lie below this folder, symlinks and `..` resolved; empty: anywhere.
    std::string root = {};
    /// Files that systemd made for a service have an access list, which shows as 0440 root:root.
    bool credential = false;
};

/// Reads a file that holds a secret (behaviour.md 9). Symlinks are followed, and then all rules
/// hold for what was opened, so nobody can exchange it in between: a regular file, owned by this
/// user or root, no rights for group and others. Errc::not_found, Errc::forbidden (rights, owner,
/// root), Errc::too_large, Errc::io, Errc::invalid_argument (no regular file). Messages carry the
/// path, never the content.
[[nodiscard]] Result<Secret>
read_secret_file(const std::string& path, const SecretFileRules& rules);

/// Writes a file of mode 0600 in place of the one at `path`, by rename: readers see the old one or
/// the new. Errc::io.
[[nodiscard]] Result<void> write_secret_file(const std::string& path, std::string_view content);

/// Path of a credential that systemd passes in: $CREDENTIALS_DIRECTORY/<name>. Errc::not_found when
/// the variable is not set, Errc::invalid_argument when it is not absolute or `name` has anything
/// but letters, digits, `_` and `-`. Does not look whether the file is there.
[[nodiscard]] Result<std::string>
credential_path(const config::Environment& environment, std::string_view name);

} // namespace rbee::auth
