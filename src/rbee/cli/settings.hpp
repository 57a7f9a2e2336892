#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/cli/environment.hpp"
#include "rbee/cli/options.hpp"
#include "rbee/http/tls.hpp"
#include "rbee/http/url.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace rbee::cli {

/// Where the queen is and how to talk to her. Each value says where it came from, for messages.
struct Settings {
    std::filesystem::path home; ///< RBEE_HOME, else ~/.rbee.
    std::string queen_url;
    http::Endpoint queen;
    std::string queen_source;
    std::string ca_file;                   ///< For an https queen; empty: CAs of the system.
    std::shared_ptr<http::TlsContext> tls; ///< Null unless the queen is https.
    Secret token;
    std::string token_source;          ///< Empty when there is no token.
    std::string token_path;            ///< Empty when it does not come from a file.
    std::filesystem::path config_file; ///< Where one was found or would be looked for.
    bool retry = true;                 ///< False with RBEE_NO_RETRY: one attempt for everything.

    [[nodiscard]] std::filesystem::path token_file() const { return home / "token"; }
    [[nodiscard]] std::filesystem::path pid_file() const { return home / "run" / "queen.pid"; }
    [[nodiscard]] std::filesystem::path queen_log() const { return home / "logs" / "queen.log"; }
};

/// Resolves the settings; for each value the first of these that has it wins.
///
///   queen URL   --queen, RBEE_QUEEN_URL, `[queen] url` of the configuration file, the queen that
///               `rbee up` started, http://127.0.0.1:8080
///   CA          --ca-file, RBEE_CA_FILE, `[queen] ca_file` of the configuration file,
///               $RBEE_HOME/pki/ca.pem when it exists, the CAs of the system
///   token       --token-file, LLORCH_API_TOKEN_FILE, LLORCH_API_TOKEN, `[auth] token_file` of the
///               configuration file, $RBEE_HOME/token when it exists
///   file        RBEE_CONFIG, ~/.config/rbee/config.toml, /etc/rbee/config.toml
///
/// Fails when a value that was named cannot be read; it never falls back silently.
[[nodiscard]] Result<Settings>
load_settings(const GlobalOptions& options, const Environment& environment);

} // namespace rbee::cli
