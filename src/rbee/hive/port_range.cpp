#include "rbee/hive/port_range.hpp"

#include "rbee/base/text.hpp"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <utility>

namespace rbee::hive {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
    const auto number = parse_u64(trim(text));
    if (!number || *number > std::numeric_limits<std::uint16_t>::max()) {
        return std::nullopt;
    }
    return static_cast<std::uint16_t>(*number);
}

} // namespace

Result<PortRange> parse_port_range(std::string_view text) {
    const auto dash = text.find('-');
    const auto first = parse_port(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
    if (!first || !last || *first > *last || (*first == 0 && *last != 0)) {
        return fail(Errc::invalid_argument, "ports must be given as FIRST-LAST, one port, or 0");
    }
    return PortRange{*first, *last};
}

Result<process::Listener> listen_for_worker(const std::string& host, PortRange range) {
    auto listener = range.first == 0 ? process::listen_tcp(host, 0)
                                     : process::listen_first_free(host, range.first, range.last);
    if (!listener && listener.error().code == Errc::conflict) {
        return fail(
            Errc::resources,
            fmt::format("no free port for a worker in {}-{}", range.first, range.last),
            "NO_FREE_PORT"
        );
    }
    return listener;
}

} // namespace rbee::hive
