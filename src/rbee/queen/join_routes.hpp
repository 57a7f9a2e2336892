#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/sha256.hpp"
#include "rbee/http/router.hpp"
#include "rbee/pki/files.hpp"
#include "rbee/queen/invite_store.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rbee::queen {

/// How hives come to the queen: POST /v1/hives/invites makes a one-time join token, and with it
/// POST /v1/hives/join gives a hive its certificate and its token.
class JoinRoutes {
public:
    struct Parts {
        InviteStore& invites;
        runtime::Timers& timers;
        const telemetry::Logger& log;
    };
    struct Settings {
        /// Where the CA is; nothing when the queen speaks plain HTTP, and then nobody can join.
        std::optional<pki::Folder> folder;
        /// Where hives reach the queen.
        std::function<std::string()> queen_url;
        /// Makes a token with the scope hive known under `name`, in place of an older one.
        std::function<Result<void>(const std::string& name, const Secret& token)> grant;
        /// SHA-256 of the token that the queen calls hives with; nothing when she has none.
        std::function<std::optional<Sha256>()> queen_token;
    };

    JoinRoutes(Parts parts, Settings settings)
        : invites_(parts.invites), timers_(parts.timers), log_(parts.log),
          settings_(std::move(settings)) {}

    void mount(http::Router& router);

private:
    /// What a hive asks for.
    struct Application {
        std::string request; ///< PKCS #10, PEM.
        std::vector<std::string> hosts;
        std::optional<std::string> name; ///< When the hive insists on one.
    };
    [[nodiscard]] static Result<Application> application_from(const boost::json::object& body);
    [[nodiscard]] boost::asio::awaitable<void> invite(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> join(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>>
    make_invite(boost::json::object body);
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>>
    admit(Secret join_token, Application application);
    [[nodiscard]] Result<pki::Authority> authority() const;

    InviteStore& invites_;
    runtime::Timers& timers_;
    telemetry::Logger log_;
    Settings settings_;
};

} // namespace rbee::queen
