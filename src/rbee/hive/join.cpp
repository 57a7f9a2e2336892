#include "rbee/hive/join.hpp"

#include "rbee/api/client.hpp"
#include "rbee/api/json.hpp"
#include "rbee/auth/secret_file.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/base/text.hpp"
#include "rbee/config/toml_file.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/pki/authority.hpp"
#include "rbee/pki/files.hpp"
#include "rbee/pki/join_token.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/system/error_code.hpp>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr Duration answer_limit = std::chrono::seconds(30);

/// What the queen answers.
struct Grant {
    std::string name;
    std::string certificate;
    std::string ca;
    Secret token;
    Sha256 queen_token{};
};

Result<Grant> grant_from(const json::object& answer) {
    Grant grant;
    std::string token;
    std::string digest;
    using Field = std::pair<const char*, std::string*>;
    for (const auto& [field, into] : {
             Field{"name", &grant.name},
             Field{"certificate", &grant.certificate},
             Field{"ca", &grant.ca},
             Field{"token", &token},
             Field{"queen_token_sha256", &digest},
         }) {
        auto value = api::require_string(answer, field);
        if (!value) {
            return std::unexpected(value.error().within("the queen's answer"));
        }
        *into = std::move(*value);
    }
    grant.token = Secret(std::move(token));
    const auto parsed = parse_sha256(digest);
    if (const auto good = domain::check_node_name(grant.name); !good || !parsed) {
        return fail(Errc::io, "the queen's answer is not what it should be", "INVALID_RESPONSE");
    }
    grant.queen_token = *parsed;
    return grant;
}

asio::awaitable<Result<json::object>>
ask(http::Client* client, const JoinOrder* order, std::string request) {
    api::ApiClient queen(*client, order->queen, order->token.clone());
    api::ApiClient::Request message{.method = "POST", .target = "/v1/hives/join"};
    json::object body{
        {"csr", std::move(request)},
        {"addresses", json::array(order->hosts.begin(), order->hosts.end())},
    };
    if (order->name) {
        body["name"] = *order->name;
    }
    message.body = std::move(body);
    http::CallOptions limits;
    limits.head_limit = answer_limit;
    auto answer = co_await queen.call(std::move(message), limits);
    co_return answer;
}

Result<json::object> call_queen(const JoinOrder& order, std::string request) {
    const auto pin = pki::pinned_authority(order.token);
    if (!pin) {
        return error_of(pin);
    }
    auto context = http::TlsContext::client(
        {.ca_file = {},
         .certificate = {},
         .key = {},
         .pinned_ca = *pin,
         .server_kind = std::string(pki::queen_uri)}
    );
    if (!context) {
        return error_of(context);
    }
    asio::io_context loop(1);
    http::Reaper reaper(loop.get_executor());
    http::Client client(loop.get_executor(), reaper);
    client.use_tls(std::move(*context));
    Result<json::object> answer = fail(Errc::internal, "the event loop ended too early");
    std::exception_ptr failure;
    asio::co_spawn(
        loop,
        ask(&client, &order, std::move(request)),
        [&](std::exception_ptr thrown, Result<json::object> result) {
            failure = std::move(thrown);
            answer = std::move(result);
            client.close_idle();
            loop.stop();
        }
    );
    loop.run();
    if (failure) {
        std::rethrow_exception(failure);
    }
    return answer;
}

Result<void> store(const JoinOrder& order, const pki::Key& key, const Grant& grant) {
    const pki::TlsFiles files = order.folder.tls();
    const std::string summary = fmt::format(
        "name = \"{}\"\nqueen = \"{}\"\nqueen_token_sha256 = \"{}\"\n",
        grant.name,
        order.queen.to_string(),
        to_hex(grant.queen_token)
    );
    if (const auto made = pki::make_private_folder(order.folder.path); !made) {
        return made;
    }
    const Secret pem = key.to_pem();
    using File = std::pair<std::string, std::string_view>;
    // The summary comes last: with it the hive counts as joined.
    for (const auto& [path, text] : {
             File{files.key, pem.expose()},
             File{files.certificate, grant.certificate},
             File{files.ca, grant.ca},
             File{order.folder.token(), grant.token.expose()},
             File{order.folder.summary(), summary},
         }) {
        if (const auto written = auth::write_secret_file(path, text); !written) {
            return written;
        }
    }
    return {};
}

std::string text_of(const sockaddr* address) {
    if (address == nullptr) {
        return {};
    }
    if (address->sa_family == AF_INET) {
        const auto& v4 = *reinterpret_cast<const sockaddr_in*>(address);
        return asio::ip::make_address_v4(ntohl(v4.sin_addr.s_addr)).to_string();
    }
    if (address->sa_family == AF_INET6) {
        const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(address);
        asio::ip::address_v6::bytes_type bytes;
        std::ranges::copy(v6.sin6_addr.s6_addr, bytes.begin());
        const asio::ip::address_v6 made(bytes);
        return made.is_link_local() ? std::string() : made.to_string();
    }
    return {};
}

std::vector<std::string> interface_addresses() {
    ifaddrs* first = nullptr;
    std::vector<std::string> out;
    if (::getifaddrs(&first) != 0) {
        return out;
    }
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, &::freeifaddrs);
    for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
        std::string text = (entry->ifa_flags & IFF_UP) != 0 ? text_of(entry->ifa_addr) : "";
        if (!text.empty()) {
            out.push_back(std::move(text));
        }
    }
    return out;
}

} // namespace

std::vector<std::string> own_hosts(const http::Endpoint& listen, const std::string& host_name) {
    std::vector<std::string> out;
    boost::system::error_code error;
    const auto address = asio::ip::make_address(listen.host, error);
    if (!error && address.is_unspecified()) {
        out = interface_addresses();
    } else {
        out.push_back(listen.host);
    }
    out.push_back(host_name);
    out.emplace_back("localhost");
    std::erase_if(out, [](const std::string& host) { return !pki::check_host(host); });
    std::ranges::sort(out);
    const auto twice = std::ranges::unique(out);
    out.erase(twice.begin(), twice.end());
    return out;
}

Result<std::string> join_queen(const JoinOrder& order) {
    if (!order.queen.secure) {
        return fail(Errc::invalid_argument, "--join needs the https:// URL of the queen");
    }
    const auto key = pki::Key::generate();
    auto request = key ? pki::make_request(*key) : Result<std::string>(error_of(key));
    if (!request) {
        return error_of(request);
    }
    const auto answer = call_queen(order, std::move(*request));
    if (!answer) {
        return std::unexpected(answer.error().within("cannot join " + order.queen.to_string()));
    }
    const auto grant = grant_from(*answer);
    if (!grant) {
        return error_of(grant);
    }
    const auto pin = pki::pinned_authority(order.token);
    const auto ca = pki::inspect(grant->ca);
    if (!ca || ca->fingerprint != *pin) {
        return fail(Errc::io, "the queen's answer has another CA than the join token");
    }
    if (const auto stored = store(order, *key, *grant); !stored) {
        return error_of(stored);
    }
    return grant->name;
}

Result<std::optional<Joined>> read_joined(const JoinFolder& folder) {
    std::error_code ignored;
    if (!std::filesystem::exists(folder.summary(), ignored)) {
        return std::optional<Joined>();
    }
    auto file = config::TomlFile::load(folder.summary());
    if (!file) {
        return error_of(file);
    }
    const auto name = file->get<std::string>("name");
    const auto queen = file->get<std::string>("queen");
    const auto digest = file->get<std::string>("queen_token_sha256");
    auto token = auth::load_token_file(folder.token());
    if (!name || !queen || !digest || !token) {
        const Error& error = !name     ? name.error()
                             : !queen  ? queen.error()
                             : !digest ? digest.error()
                                       : token.error();
        return std::unexpected(error);
    }
    Joined joined;
    joined.name = name->value_or("");
    joined.token = std::move(*token);
    auto endpoint = http::parse_endpoint(queen->value_or(""));
    const auto queen_token = parse_sha256(digest->value_or(""));
    if (joined.name.empty() || !endpoint || !queen_token) {
        return fail(
            Errc::corrupt, folder.summary() + " is not complete; remove the folder and join again"
        );
    }
    joined.queen = std::move(*endpoint);
    joined.queen_token = *queen_token;
    return std::optional(std::move(joined));
}

} // namespace rbee::hive
