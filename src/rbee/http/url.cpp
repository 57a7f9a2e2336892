#include "rbee/http/url.hpp"

#include "rbee/base/text.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <fmt/format.h>

namespace rbee::http {
namespace {

constexpr std::uint16_t default_port = 80;
constexpr std::uint16_t default_secure_port = 443;

Result<Endpoint> refuse(std::string_view why) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{}; expected http://host:port, https://host:port or unix:/path/to/socket", why)
    );
}

/// "host[:port]";
Result<Endpoint> read_address(std::string_view address, std::uint16_t port_if_none) {
    std::string_view host = address;
    std::string_view port;
    if (address.starts_with('[')) {
        const auto close = address.find(']');
        if (close == std::string_view::npos) {
            return refuse("an IPv6 address lacks its ']'");
        }
        host = address.substr(1, close - 1);
        port = address.substr(close + 1);
    } else if (const auto colon = address.rfind(':'); colon != std::string_view::npos) {
        host = address.substr(0, colon);
        port = address.substr(colon);
    }
    Endpoint endpoint{.host = std::string(host), .port = port_if_none, .unix_path = {}};
    if (endpoint.host.empty() && address.starts_with(':')) {
        endpoint.host = "0.0.0.0";
    }
    if (!port.empty()) {
        const auto number = port.starts_with(':') ? parse_u64(port.substr(1)) : std::nullopt;
        if (!number || *number > 65535) {
            return refuse("the port must be a number from 0 to 65535");
        }
        endpoint.port = static_cast<std::uint16_t>(*number);
    }
    const bool bad = endpoint.host.empty() || endpoint.host.size() > 253 ||
                     endpoint.host.find_first_of(" \t\r\n/@?#\\\"<>") != std::string::npos;
    if (bad) {
        return refuse("the host is not valid");
    }
    return endpoint;
}

} // namespace

std::string Endpoint::to_string() const {
    if (!unix_path.empty()) {
        return "unix:" + unix_path;
    }
    return (secure ? "https://" : "http://") + authority();
}

std::string Endpoint::authority() const {
    if (!unix_path.empty()) {
        return "localhost";
    }
    return host.contains(':') ? fmt::format("[{}]:{}", host, port)
                              : fmt::format("{}:{}", host, port);
}

Result<Endpoint> parse_address(std::string_view address) {
    return read_address(address, default_port);
}

Result<Endpoint> parse_endpoint(std::string_view url) {
    if (url.starts_with("unix:")) {
        const std::string_view path = url.substr(5);
        if (!path.starts_with('/') || path.size() > 100) {
            return refuse("a Unix socket needs an absolute path of at most 100 bytes");
        }
        return Endpoint{.host = {}, .port = 0, .unix_path = std::string(path)};
    }
    const auto has_scheme = [url](std::string_view scheme) {
        return url.size() >= scheme.size() && iequals(url.substr(0, scheme.size()), scheme);
    };
    const bool secure = has_scheme("https://");
    if (!secure && !has_scheme("http://")) {
        return refuse("the URL has no scheme that is supported");
    }
    std::string_view rest = url.substr(url.find("//") + 2);
    if (rest.ends_with('/')) {
        rest.remove_suffix(1);
    }
    if (rest.contains('/')) {
        return refuse("the URL must not have a path");
    }
    auto endpoint = read_address(rest, secure ? default_secure_port : default_port);
    if (endpoint) {
        endpoint->secure = secure;
    }
    return endpoint;
}

bool is_loopback(const Endpoint& endpoint) {
    if (!endpoint.unix_path.empty() || iequals(endpoint.host, "localhost")) {
        return true;
    }
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(endpoint.host, error);
    if (error) {
        return false;
    }
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6())
            .is_loopback();
    }
    return address.is_loopback();
}

} // namespace rbee::http
