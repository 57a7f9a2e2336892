#include "rbee/queen/hive_routes.hpp"

#include "rbee/api/gate.hpp"
#include "rbee/api/json.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/queen/hive_report.hpp"
#include "rbee/queen/node_audit.hpp"
#include "rbee/queen/views.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr Duration probe_max = std::chrono::seconds(10);
constexpr int attempts_max = 3;

Error node_not_found() {
    return {
        Errc::not_found,
        "no hive of this name is known; add it with `rbee hives add`",
        "NODE_NOT_FOUND"
    };
}

Result<std::string> node_name_in(const json::object& body, std::string_view field) {
    auto name = api::require_string(body, field);
    if (!name) {
        return name;
    }
    if (const auto good = domain::check_node_name(*name); !good) {
        return std::unexpected(domain::in_field(good.error(), field));
    }
    return name;
}

/// A row from the body of /v2/registry/beehives/add; members that are absent keep what `node` has.
Result<Node> node_from(const json::object& body, Node node) {
    std::optional<Error> error;
    const auto text = [&](std::string_view field, auto& into) {
        auto value = api::get_string(body, field);
        if (!value) {
            error = value.error();
        } else if (const auto good = domain::check_text(field, value->value_or("")); !good) {
            error = good.error();
        } else if (*value) {
            into = **value;
        }
    };
    text("ssh_host", node.ssh_host);
    text("ssh_user", node.ssh_user);
    text("ssh_key_path", node.ssh_key_path);
    text("git_repo_url", node.git_repo_url);
    text("git_branch", node.git_branch);
    text("install_path", node.install_path);
    text("backends", node.backends);
    text("devices", node.devices);
    const std::string old_url = std::exchange(node.url, "");
    text("url", node.url);
    const auto port = api::get_unsigned(body, "ssh_port");
    if (!port) {
        error = port.error();
    } else if (const std::optional<std::uint64_t> number = *port) {
        if (*number == 0 || *number > 65535) {
            error = domain::field_error(
                "ssh_port", "range(1..=65535)", "ssh_port must be from 1 to 65535"
            );
        } else {
            node.ssh_port = static_cast<std::uint16_t>(*number);
        }
    }
    if (error) {
        return std::unexpected(*error);
    }
    if (node.ssh_host.empty() && node.url.empty() && old_url.empty()) {
        return std::unexpected(domain::field_error("url", "required", "url or ssh_host is required")
        );
    }
    if (node.url.empty()) {
        node.url =
            body.contains("ssh_host") ? fmt::format("http://{}:9200", node.ssh_host) : old_url;
    }
    const auto endpoint = http::parse_endpoint(node.url);
    if (!endpoint) {
        return std::unexpected(domain::in_field(endpoint.error(), "url"));
    }
    node.ssh_host = node.ssh_host.empty() ? endpoint->host : node.ssh_host;
    return node;
}

} // namespace

void HiveRoutes::mount(http::Router& router) {
    const auto route = [&](const char* method,
                           const std::string& path,
                           auto member,
                           http::Access access = http::Access::admin) {
        router.add(
            method,
            path,
            [this, member](http::Exchange& exchange) { return (this->*member)(exchange); },
            access
        );
    };
    for (const std::string version : {"/v1", "/v2"}) {
        route("POST", version + "/hives/heartbeat", &HiveRoutes::heartbeat, http::Access::hive);
        route("POST", version + "/heartbeat", &HiveRoutes::heartbeat, http::Access::hive);
        route("GET", version + "/hives", &HiveRoutes::list, http::Access::models);
        route("POST", version + "/hives", &HiveRoutes::add);
        route("GET", version + "/hives/{name}", &HiveRoutes::show, http::Access::models);
        route("DELETE", version + "/hives/{name}", &HiveRoutes::remove);
        const std::string nodes = version + "/registry/beehives";
        route("GET", nodes + "/list", &HiveRoutes::list_nodes, http::Access::models);
        route("POST", nodes + "/add", &HiveRoutes::add_node);
        route("POST", nodes + "/update", &HiveRoutes::update_node);
        route("POST", nodes + "/remove", &HiveRoutes::remove_node);
    }
}

asio::awaitable<void> HiveRoutes::heartbeat(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    auto report = body ? api::report_from_json(*body) : Result<api::HiveReport>(error_of(body));
    if (!report) {
        co_return co_await api::respond_error(exchange, report.error());
    }
    if (const auto good = check_version(report->version); !good) {
        co_return co_await api::respond_error(exchange, good.error());
    }
    if (const auto good = check_identity(fleet_, exchange.peer_identity(), *report); !good) {
        co_return co_await api::respond_error(exchange, good.error());
    }
    const Hive* known = fleet_.find_hive(report->hive_id);
    const std::string name = report->hive_id;
    const bool is_new = known == nullptr;
    if (known == nullptr || !known->available) {
        log_.with_correlation(exchange.correlation_id())
            .info("hive_available", "a hive reported", {{"hive", report->hive_id}});
    }
    const std::int64_t now_unix = to_unix_ms(timers_.clock().wall()) / 1000;
    const auto taken = co_await take_report(&fleet_, &nodes_, std::move(*report), now_unix);
    if (!taken) {
        co_return co_await api::respond_error(exchange, taken.error());
    }
    if (is_new && fleet_.find_hive(name) != nullptr) { // else it is one of another name
        record_node(audit_, exchange, name, fleet_);
    }
    json::object answer{{"message", "report taken"}};
    co_await api::respond_json(exchange, 200, std::move(answer));
}

// /v1/hives
// ----------------------------------------------------------------------------------------

asio::awaitable<void> HiveRoutes::list(http::Exchange& exchange) {
    json::array hives;
    for (const auto& [name, hive] : fleet_.hives()) {
        hives.push_back(view_of(fleet_, hive));
    }
    json::object body{{"hives", std::move(hives)}};
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> HiveRoutes::show(http::Exchange& exchange) {
    const std::string& name = exchange.path_parameters.at(0);
    if (const auto good = domain::check_node_name(name); !good) {
        co_return co_await api::respond_error(exchange, good.error());
    }
    const Hive* hive = fleet_.find_hive(name);
    if (hive == nullptr) {
        co_return co_await api::respond_error(exchange, node_not_found());
    }
    json::object body = view_of(fleet_, *hive);
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<Result<json::object>> HiveRoutes::reach(http::Endpoint endpoint) {
    http::CallOptions limits;
    limits.connect_limit = probe_max;
    limits.head_limit = probe_max;
    limits.body_limit = probe_max;
    for (int attempt = 1;; ++attempt) {
        api::ApiClient::Request request;
        request.target = "/v1/health";
        auto health = co_await hives_.call(endpoint, std::move(request), limits);
        if (health) {
            co_return health;
        }
        const Error& error = health.error();
        const bool unreached = error.code == Errc::unavailable && error.wire_code.empty();
        if (!unreached) {
            co_return std::unexpected(for_client(error));
        }
        log_.warn("hive_unreached", error.what, {{"attempt", attempt}, {"of", attempts_max}});
        if (attempt == attempts_max) {
            co_return fail(
                Errc::unavailable,
                fmt::format(
                    "the hive cannot be reached: {} attempts failed, the last two after 200 and "
                    "400 ms",
                    attempts_max
                ),
                "HIVE_UNAVAILABLE"
            );
        }
        co_await timers_.sleep_for(attempt * std::chrono::milliseconds(200));
    }
}

asio::awaitable<Result<api::HiveReport>> HiveRoutes::probe(http::Endpoint endpoint) {
    const auto health = co_await reach(endpoint);
    if (!health) {
        co_return error_of(health);
    }
    const auto version = api::get_string(*health, "version");
    if (const auto good = check_version(version ? version->value_or("") : ""); !good) {
        co_return error_of(good);
    }
    auto report = co_await hives_.report(std::move(endpoint));
    if (report) {
        co_return std::move(*report);
    }
    co_return std::unexpected(for_client(report.error()));
}

asio::awaitable<Result<Node>> HiveRoutes::add_by_url(std::string name, std::string url) {
    auto endpoint = http::parse_endpoint(url);
    if (!endpoint) {
        co_return std::unexpected(domain::in_field(endpoint.error(), "url"));
    }
    if (fleet_.find_hive(name) != nullptr) {
        co_return fail(
            Errc::conflict,
            "a hive of this name is registered; remove or update it",
            "NODE_ALREADY_REGISTERED"
        );
    }
    auto report = co_await probe(*endpoint);
    if (!report) {
        co_return error_of(report);
    }
    auto node = node_at(name, endpoint->to_string());
    if (!node) {
        co_return error_of(node);
    }
    node->status = "reachable";
    node->last_connected_unix = to_unix_ms(timers_.clock().wall()) / 1000;
    const auto stored = co_await nodes_.add(*node);
    if (!stored) {
        co_return error_of(stored);
    }
    report->hive_id = name;
    log_preflight(log_, *report);
    fleet_.add_hive(name, std::move(*endpoint));
    fleet_.apply(std::move(*report));
    log_.info("hive_added", "a hive was added", {{"hive", name}});
    co_return std::move(*node);
}

asio::awaitable<void> HiveRoutes::add(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    auto name = body ? node_name_in(*body, "name") : Result<std::string>(error_of(body));
    auto url = name ? api::require_string(*body, "url") : Result<std::string>(error_of(name));
    if (!url) {
        co_return co_await api::respond_error(exchange, url.error());
    }
    const auto node = co_await add_by_url(*name, std::move(*url));
    if (!node) {
        co_return co_await api::respond_error(exchange, node.error());
    }
    record_node(audit_, exchange, *name, fleet_);
    const Hive* hive = fleet_.find_hive(*name);
    json::object answer = hive != nullptr ? view_of(fleet_, *hive) : json::object();
    const auto lacks =
        shortfalls(hive != nullptr && hive->report ? *hive->report : api::HiveReport());
    answer["warnings"] = json::array(lacks.begin(), lacks.end());
    co_await api::respond_json(exchange, 201, std::move(answer));
}

asio::awaitable<Result<void>> HiveRoutes::forget(std::string name) {
    const auto stored = co_await nodes_.remove(name);
    if (!stored) {
        co_return error_of(stored);
    }
    const bool live = fleet_.remove_hive(name);
    if (!*stored && !live) {
        co_return std::unexpected(node_not_found());
    }
    log_.info("hive_removed", "a hive was removed", {{"hive", name}});
    co_return Result<void>();
}

asio::awaitable<void> HiveRoutes::remove(http::Exchange& exchange) {
    const std::string name = exchange.path_parameters.at(0);
    const auto good = domain::check_node_name(name);
    const auto gone = good ? co_await forget(name) : good;
    if (!gone) {
        co_return co_await api::respond_error(exchange, gone.error());
    }
    record_node_gone(audit_, exchange, name);
    http::Response done;
    done.status = 204;
    const auto sent = co_await exchange.respond(std::move(done));
    (void)sent; // the hive is removed, whether or not they hear of it
}

// /v2/registry/beehives
// ----------------------------------------------------------------------------

asio::awaitable<void> HiveRoutes::list_nodes(http::Exchange& exchange) {
    const auto nodes = co_await nodes_.list();
    if (!nodes) {
        co_return co_await api::respond_error(exchange, nodes.error());
    }
    json::array rows;
    for (const Node& node : *nodes) {
        json::object row = to_json(node);
        const Hive* hive = fleet_.find_hive(node.name);
        row["available"] = hive != nullptr && hive->available;
        rows.push_back(std::move(row));
    }
    json::object body{{"nodes", std::move(rows)}};
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> HiveRoutes::add_node(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    const auto name = body ? node_name_in(*body, "node_name") : Result<std::string>(error_of(body));
    Node fresh;
    fresh.name = name.value_or("");
    auto node = name ? node_from(*body, fresh) : Result<Node>(error_of(name));
    if (!node) {
        co_return co_await api::respond_error(exchange, node.error());
    }
    const auto added = co_await nodes_.add(*node);
    if (!added) {
        co_return co_await api::respond_error(exchange, added.error());
    }
    fleet_.add_hive(node->name, *http::parse_endpoint(node->url));
    log_.info("hive_added", "a hive was added", {{"hive", node->name}});
    record_node(audit_, exchange, node->name, fleet_);
    json::object answer{{"success", true}, {"message", "node added"}, {"node_name", node->name}};
    co_await api::respond_json(exchange, 200, std::move(answer));
}

asio::awaitable<void> HiveRoutes::update_node(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    const auto name = body ? node_name_in(*body, "node_name") : Result<std::string>(error_of(body));
    if (!name) {
        co_return co_await api::respond_error(exchange, name.error());
    }
    const auto nodes = co_await nodes_.list();
    if (!nodes) {
        co_return co_await api::respond_error(exchange, nodes.error());
    }
    const auto old = std::ranges::find(*nodes, *name, &Node::name);
    if (old == nodes->end()) {
        co_return co_await api::respond_error(exchange, node_not_found());
    }
    auto node = node_from(*body, *old);
    if (!node) {
        co_return co_await api::respond_error(exchange, node.error());
    }
    const auto stored = co_await nodes_.put(*node);
    if (!stored) {
        co_return co_await api::respond_error(exchange, stored.error());
    }
    fleet_.add_hive(node->name, *http::parse_endpoint(node->url));
    json::object answer{{"success", true}, {"message", "node updated"}, {"node_name", node->name}};
    co_await api::respond_json(exchange, 200, std::move(answer));
}

asio::awaitable<void> HiveRoutes::remove_node(http::Exchange& exchange) {
    const auto body = co_await api::read_object(exchange);
    const auto name = body ? node_name_in(*body, "node_name") : Result<std::string>(error_of(body));
    if (!name) {
        co_return co_await api::respond_error(exchange, name.error());
    }
    const auto gone = co_await forget(*name);
    if (!gone) {
        co_return co_await api::respond_error(exchange, gone.error());
    }
    record_node_gone(audit_, exchange, *name);
    json::object answer{{"success", true}, {"message", "node removed"}, {"node_name", *name}};
    co_await api::respond_json(exchange, 200, std::move(answer));
}

} // namespace rbee::queen
