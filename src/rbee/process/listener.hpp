#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"

#include <cstdint>
#include <string>

namespace rbee::process {

/// A socket that listens already, so that it can be handed to a child without a race for the port.
struct Listener {
    UniqueFd fd;            ///< Close-on-exec and non-blocking.
    std::uint16_t port = 0; ///< The one really bound.
};

/// Listens on `host` (an address or a local name) and `port` (0: any free one). Errc::conflict when
/// the port is taken, Errc::invalid_argument for a bad host, Errc::forbidden for a privileged port,
/// Errc::io otherwise; the message says where. May ask the resolver: for start-up, not for the
/// event loop.
[[nodiscard]] Result<Listener> listen_tcp(const std::string& host, std::uint16_t port);

/// The first free port of [first, last]; Errc::conflict when none is.
[[nodiscard]] Result<Listener>
listen_first_free(const std::string& host, std::uint16_t first, std::uint16_t last);

} // namespace rbee::process
