#include "rbee/process/service_manager.hpp"

#include "rbee/base/text.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <utility>

namespace rbee::process {

namespace asio = boost::asio;

namespace {

constexpr std::array<std::string_view, 3> variables = {
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
};

/// One line: what a message holds must not look like another field.
std::string one_line(std::string_view text) {
    std::string out(text);
    std::ranges::replace_if(out, [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return out;
}

} // namespace

ServiceAddress service_address(
    const std::function<std::optional<std::string>(std::string_view)>& environment, pid_t own
) {
    ServiceAddress out;
    out.socket = environment("NOTIFY_SOCKET").value_or("");
    const auto wanted_of = environment("WATCHDOG_PID");
    const auto interval = parse_u64(environment("WATCHDOG_USEC").value_or(""));
    const bool ours = !wanted_of || parse_u64(*wanted_of) == static_cast<std::uint64_t>(own);
    constexpr std::uint64_t year_us = 365ULL * 24 * 3600 * 1'000'000;
    if (ours && interval && *interval > 0 && *interval <= year_us) {
        out.watchdog = std::chrono::microseconds(*interval);
    }
    return out;
}

std::vector<std::string> without_service_address(std::vector<std::string> environment) {
    std::erase_if(environment, [](const std::string& variable) {
        return std::ranges::any_of(variables, [&variable](std::string_view name) {
            return variable.starts_with(name) && variable.substr(name.size()).starts_with('=');
        });
    });
    return environment;
}

ServiceManager::ServiceManager(ServiceAddress address) : address_(std::move(address)) {
    sockaddr_un name{};
    const bool usable = (address_.socket.starts_with('/') || address_.socket.starts_with('@')) &&
                        address_.socket.size() < sizeof name.sun_path;
    if (!usable) {
        return;
    }
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address_.socket.data(), address_.socket.size());
    if (name.sun_path[0] == '@') {
        name.sun_path[0] = '\0';
    }
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto length =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.socket.size());
    if (socket.valid() &&
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), length) == 0) {
        socket_ = std::move(socket);
    }
}

void ServiceManager::send(std::string_view text) {
    if (socket_.valid()) {
        // Dropped when the manager is behind with reading: the next one comes soon enough.
        (void)::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
}

void ServiceManager::ready(std::string_view status) {
    send(fmt::format("READY=1\nSTATUS={}", one_line(status)));
}

void ServiceManager::reloading(TimePoint now) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
    send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", us.count()));
}

void ServiceManager::stopping(std::string_view status) {
    send(fmt::format("STOPPING=1\nSTATUS={}", one_line(status)));
}

void ServiceManager::status(std::string_view text) {
    send(fmt::format("STATUS={}", one_line(text)));
}

asio::awaitable<void> ServiceManager::feed_watchdog(runtime::Timers& timers) {
    const auto interval = address_.watchdog;
    if (!socket_.valid() || !interval) {
        co_return;
    }
    while (true) {
        send("WATCHDOG=1");
        co_await timers.sleep_for(*interval / 2);
    }
}

} // namespace rbee::process
