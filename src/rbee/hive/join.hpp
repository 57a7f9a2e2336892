#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/sha256.hpp"
#include "rbee/http/url.hpp"
#include "rbee/pki/tls_files.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace rbee::hive {

/// What a hive has from the queen that it joined; files of mode 0600. Blocking; for start-up.
struct JoinFolder {
    std::filesystem::path path;

    [[nodiscard]] pki::TlsFiles tls() const {
        return {
            .certificate = (path / "hive.pem").string(),
            .key = (path / "hive.key").string(),
            .ca = (path / "ca.pem").string()
        };
    }
    [[nodiscard]] std::string token() const { return (path / "token").string(); }
    [[nodiscard]] std::string summary() const { return (path / "joined.toml").string(); }
};

/// The queen that a hive has joined.
struct Joined {
    std::string name; ///< Of the hive.
    http::Endpoint queen;
    Secret token;         ///< For calls to the queen.
    Sha256 queen_token{}; ///< SHA-256 of the token that the queen calls with.
};

/// Nothing when the hive has not joined. Fails when files are missing or changed.
[[nodiscard]] Result<std::optional<Joined>> read_joined(const JoinFolder& folder);

/// What is needed to join.
struct JoinOrder {
    http::Endpoint queen;
    Secret token;                    ///< From `rbee hives invite`.
    std::optional<std::string> name; ///< When the hive insists on one.
    std::vector<std::string> hosts;  ///< Under which the queen reaches the hive.
    JoinFolder folder;
};

/// Makes a key, lets the queen sign it and stores what she answers. The queen must have the CA of
/// the join token. Returns the name of the hive. Runs an event loop of its own until it is done, 30
/// seconds at most. Fails with a readable line; then nothing is stored.
[[nodiscard]] Result<std::string> join_queen(const JoinOrder& order);

/// Names and addresses of this machine under which a hive that listens at `listen` is reached.
[[nodiscard]] std::vector<std::string>
own_hosts(const http::Endpoint& listen, const std::string& host_name);

} // namespace rbee::hive
