#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/auth/token_source.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string>
#include <vector>

namespace rbee::auth {

/// The tokens of a program that serves others and calls one of them.
struct KeptTokens {
    FoundToken own;              ///< What it accepts, with all rights.
    std::string named;           ///< tokens.toml; empty: none.
    bool named_required = false; ///< False: no file means no named tokens.
    std::string outgoing;        ///< File of the token that it sends; empty: its own.
};

/// Loads them, and again when their files change or somebody asks for it: a file that cannot be
/// used leaves everything as it was. Running requests are not concerned. Says what it did, by names
/// only. Belongs to one loop.
class TokenKeeper {
public:
    struct Parts {
        Authenticator& authenticator;
        runtime::Timers& timers;
        telemetry::Logger& log;
        audit::Logger* audit = nullptr; ///< Hears what changed, by names and fingerprints; or none.
    };

    TokenKeeper(Parts parts, KeptTokens kept) : with_(parts), kept_(std::move(kept)) {}

    /// Hears the token to send, after each load.
    void on_load(std::function<void(Secret outgoing)> listener) { loaded_ = std::move(listener); }

    /// Reads all files, or changes nothing.
    [[nodiscard]] Result<void> load();
    /// The same, and tells the log how it went.
    void reload();
    /// Reloads whenever a file has changed, until cancelled.
    [[nodiscard]] boost::asio::awaitable<void> watch();
    /// Tells the log how this program is protected; after the first load().
    void tell() const;

    [[nodiscard]] const FoundToken& own() const { return kept_.own; }

private:
    [[nodiscard]] std::string names() const;
    void take(std::vector<TokenRecord> records);

    Parts with_;
    KeptTokens kept_;
    std::vector<TokenRecord> records_;
    bool loaded_once_ = false;
    std::function<void(Secret)> loaded_;
};

} // namespace rbee::auth
