#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/http/url.hpp"

#include <optional>

namespace rbee::worker {

/// A socket that listens, and where.
struct Listener {
    UniqueFd socket;
    http::Endpoint endpoint; ///< With the real port, also when 0 was asked for.
};

/// Takes over a listening socket that the parent process opened. Fails with Errc::invalid_argument
/// when `fd` is no such thing.
[[nodiscard]] Result<Listener> adopt_listener(int fd);

/// Opens a socket on a TCP address, or on a Unix path, where it replaces a socket file that is
/// there. The message says where and why it failed.
[[nodiscard]] Result<Listener> open_listener(const http::Endpoint& endpoint);

} // namespace rbee::worker
