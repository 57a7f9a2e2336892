#include "rbee/queen/join_routes.hpp"

#include "rbee/api/gate.hpp"
#include "rbee/api/json.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/auth/token.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/pki/join_token.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::uint64_t invite_default_s = 3600;
constexpr std::uint64_t invite_max_s = 7UL * 24 * 3600;
constexpr std::size_t request_bytes_max = 8192;
constexpr std::size_t hosts_max = 64;

Result<std::vector<std::string>> hosts_from(const json::object& body) {
    const json::value* value = body.if_contains("addresses");
    if (value == nullptr || !value->is_array() || value->get_array().size() > hosts_max ||
        value->get_array().empty()) {
        return fail(
            Errc::invalid_argument,
            fmt::format("addresses must be an array of 1 to {} host names", hosts_max)
        );
    }
    std::vector<std::string> out;
    for (const json::value& item : value->get_array()) {
        if (!item.is_string()) {
            return fail(Errc::invalid_argument, "addresses must be an array of strings");
        }
        out.emplace_back(item.get_string());
        if (const auto good = pki::check_host(out.back()); !good) {
            return std::unexpected(good.error().within("addresses"));
        }
    }
    return out;
}

} // namespace

void JoinRoutes::mount(http::Router& router) {
    router.add(
        "POST",
        "/v1/hives/invites",
        [this](http::Exchange& exchange) { return invite(exchange); },
        http::Access::admin
    );
    // The join token, which only this handler knows, stands in place of a token of ours.
    router.add(
        "POST",
        "/v1/hives/join",
        [this](http::Exchange& exchange) { return join(exchange); },
        http::Access::open
    );
}

Result<pki::Authority> JoinRoutes::authority() const {
    if (!settings_.folder || !settings_.queen_token()) {
        return fail(
            Errc::conflict,
            settings_.folder
                ? "this queen runs without a token; give her one, for example --token-file"
                : "hives join over TLS only: `rbee pki init` makes the certificates, then start "
                  "the queen with --tls",
            "TLS_REQUIRED"
        );
    }
    auto authority = settings_.folder->authority();
    if (!authority) {
        log_.error("pki_unusable", authority.error().what);
        return fail(Errc::internal, "the private CA of this queen cannot be used; see her log");
    }
    return authority;
}

asio::awaitable<void> JoinRoutes::invite(http::Exchange& exchange) {
    auto body = co_await api::read_object(exchange);
    if (!body) {
        co_return co_await api::respond_error(exchange, body.error());
    }
    auto answer = co_await make_invite(std::move(*body));
    if (!answer) {
        co_return co_await api::respond_error(exchange, answer.error());
    }
    co_await api::respond_json(exchange, 201, std::move(*answer));
}

asio::awaitable<Result<json::object>> JoinRoutes::make_invite(json::object body) {
    auto name = api::require_string(body, "name");
    if (!name) {
        co_return error_of(name);
    }
    if (const auto good = domain::check_node_name(*name); !good) {
        co_return error_of(good);
    }
    const auto seconds = api::get_unsigned(body, "expires_s");
    if (!seconds) {
        co_return error_of(seconds);
    }
    const std::uint64_t lifetime_s = seconds->value_or(invite_default_s);
    if (lifetime_s == 0 || lifetime_s > invite_max_s) {
        co_return fail(
            Errc::invalid_argument, fmt::format("expires_s must be from 1 to {}", invite_max_s)
        );
    }
    const auto ca = authority();
    if (!ca) {
        co_return error_of(ca);
    }
    const Secret token = pki::make_join_token(ca->fingerprint());
    const WallTime expires = timers_.clock().wall() + std::chrono::seconds(lifetime_s);
    const auto stored = co_await invites_.put(*name, token, expires);
    if (!stored) {
        co_return error_of(stored);
    }
    log_.info("hive_invited", "a hive was invited", {{"hive", *name}, {"seconds", lifetime_s}});
    co_return json::object{
        {"name", *name},
        {"join_token", token.expose()},
        {"expires", to_rfc3339(expires)},
        {"queen_url", settings_.queen_url()},
    };
}

Result<JoinRoutes::Application> JoinRoutes::application_from(const json::object& body) {
    auto request = api::require_string(body, "csr");
    if (!request) {
        return error_of(request);
    }
    if (request->size() > request_bytes_max) {
        return fail(
            Errc::invalid_argument, fmt::format("csr is longer than {} bytes", request_bytes_max)
        );
    }
    auto hosts = hosts_from(body);
    if (!hosts) {
        return error_of(hosts);
    }
    auto name = api::get_string(body, "name");
    if (!name) {
        return error_of(name);
    }
    return Application{std::move(*request), std::move(*hosts), std::move(*name)};
}

asio::awaitable<void> JoinRoutes::join(http::Exchange& exchange) {
    const auto header = exchange.head().headers.find("Authorization");
    const auto credentials = auth::parse_authorization(header.value_or(""));
    if (!exchange.secure() || credentials.token.empty()) {
        const Error error{
            Errc::unauthenticated,
            exchange.secure() ? "a join token is needed" : "hives join over TLS only",
            "JOIN_TOKEN_INVALID"
        };
        co_return co_await api::respond_error(exchange, error);
    }
    Secret token = Secret::copy_of(credentials.token);
    const auto body = co_await api::read_object(exchange);
    auto application = body ? application_from(*body) : Result<Application>(error_of(body));
    if (!application) {
        co_return co_await api::respond_error(exchange, application.error());
    }
    auto answer = co_await admit(std::move(token), std::move(*application));
    if (!answer) {
        log_.with_correlation(exchange.correlation_id())
            .warn("hive_not_joined", answer.error().what, {{"peer", exchange.peer()}});
        co_return co_await api::respond_error(exchange, answer.error());
    }
    co_await api::respond_json(exchange, 201, std::move(*answer));
}

asio::awaitable<Result<json::object>>
JoinRoutes::admit(Secret join_token, Application application) {
    const WallTime now = timers_.clock().wall();
    const auto name = co_await invites_.find(join_token, now);
    if (!name) {
        co_return error_of(name);
    }
    if (application.name && *application.name != *name) {
        co_return fail(
            Errc::conflict,
            "the join token is for a hive of another name; start the hive without --node-name, or "
            "invite that name",
            "JOIN_NAME_MISMATCH"
        );
    }
    const auto ca = authority();
    if (!ca) {
        co_return error_of(ca);
    }
    const pki::Subject subject{pki::hive_uri(*name), std::move(application.hosts)};
    auto certificate = ca->sign(application.request, subject, now);
    if (!certificate) {
        co_return error_of(certificate);
    }
    // Only now, so that a request that is not good does not use the token up.
    const auto taken = co_await invites_.take(join_token);
    if (!taken) {
        co_return error_of(taken);
    }
    const Sha256 queen_token = settings_.queen_token().value_or(Sha256{}); // there: authority()
    const Secret token = auth::make_token();
    if (const auto granted = settings_.grant(*name, token); !granted) {
        co_return error_of(granted);
    }
    log_.info("hive_joined", "a hive has its certificate", {{"hive", *name}});
    co_return json::object{
        {"name", *name},
        {"certificate", *certificate},
        {"ca", ca->certificate()},
        {"token", token.expose()},
        {"queen_token_sha256", to_hex(queen_token)},
    };
}

} // namespace rbee::queen
