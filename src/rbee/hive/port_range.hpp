#pragma once

#include "rbee/base/result.hpp"
#include "rbee/process/listener.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace rbee::hive {

/// Ports that workers may get, both ends included; 0-0 lets the system choose.
struct PortRange {
    std::uint16_t first = 8081;
    std::uint16_t last = 9000;
};

/// Reads "8081-9000", one port, or "0". Fails with Errc::invalid_argument.
[[nodiscard]] Result<PortRange> parse_port_range(std::string_view text);

/// Listens on the first free port of the range, so that nobody else can take it before the worker
/// does. `host` is a numeric address. Fails with Errc::resources (NO_FREE_PORT) or Errc::io.
[[nodiscard]] Result<process::Listener> listen_for_worker(const std::string& host, PortRange range);

} // namespace rbee::hive
