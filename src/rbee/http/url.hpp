#pragma once

#include "rbee/base/result.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace rbee::http {

/// Where a server of ours listens: a TCP host and port, or the path of a Unix socket.
struct Endpoint {
    std::string host; ///< Name or address without brackets; empty for a Unix socket.
    std::uint16_t port = 0;
    std::string unix_path; ///< Empty for TCP.
    bool secure = false;   ///< TLS.
    /// What the URI in the server's certificate must be, such as "hive:attic"; empty: anything that
    /// the TLS context takes.
    std::string identity = {};

    auto operator<=>(const Endpoint&) const = default;
    /// "http://127.0.0.1:9200", "https://queen.lan:8080" or "unix:/run/x.sock".
    [[nodiscard]] std::string to_string() const;
    /// Value for the Host field.
    [[nodiscard]] std::string authority() const;
};

/// Reads a base URL: `http://host[:port][/]`, the same with https (port 443), or `unix:/path`.
/// Fails with Errc::invalid_argument; the message names the accepted forms.
[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view url);

/// Splits "host:port", "[v6]:port" or ":port" (any address). Fails with Errc::invalid_argument.
[[nodiscard]] Result<Endpoint> parse_address(std::string_view address);

/// True when the host is 127/8, ::1, a v4-mapped loopback or "localhost", or for a Unix socket.
[[nodiscard]] bool is_loopback(const Endpoint& endpoint);

} // namespace rbee::http
