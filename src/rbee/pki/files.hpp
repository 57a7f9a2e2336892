#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/pki/authority.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::pki {

/// The files of a private CA and of the queen's certificate. Blocking; for start-up.
struct Folder {
    std::filesystem::path path; ///< Mode 0700.

    [[nodiscard]] std::string ca_certificate() const { return (path / "ca.pem").string(); }
    [[nodiscard]] std::string ca_key() const { return (path / "ca.key").string(); }
    [[nodiscard]] std::string certificate() const { return (path / "queen.pem").string(); }
    [[nodiscard]] std::string key() const { return (path / "queen.key").string(); }

    /// Reads the CA with its key. The message names the file and what to do.
    [[nodiscard]] Result<Authority> authority() const;
};

/// Identity of queens in certificates.
inline constexpr std::string_view queen_uri = "queen:rbee";
/// Identity of the hive of that name.
[[nodiscard]] std::string hive_uri(std::string_view name);

/// Makes the CA and the queen's certificate for `hosts`. Errc::conflict when the folder has one of
/// them already: nothing is ever overwritten.
[[nodiscard]] Result<Authority>
make_folder(const Folder& folder, const std::vector<std::string>& hosts, WallTime now);
/// Makes a new key and certificate for the queen, by the CA that is there.
[[nodiscard]] Result<void>
renew_certificate(const Folder& folder, const std::vector<std::string>& hosts, WallTime now);

/// Reads a certificate file, which is no secret, of at most 1 MiB.
[[nodiscard]] Result<std::string> read_certificate_file(const std::string& path);
/// Reads a key file under the rules of auth::read_secret_file.
[[nodiscard]] Result<Secret> read_key_file(const std::string& path);
/// Makes a folder that only its owner may enter, with its parents.
[[nodiscard]] Result<void> make_private_folder(const std::filesystem::path& path);

} // namespace rbee::pki
