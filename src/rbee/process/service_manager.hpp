#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::process {

/// Where a service manager such as systemd wants to hear of this process, sd_notify(3).
struct ServiceAddress {
    std::string socket;               ///< Path, or '@' and an abstract name; empty: nobody asks.
    std::optional<Duration> watchdog; ///< It wants a sign of life at least this often.
};

/// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from `environment`. A watchdog that is meant
/// for another process than `own` is not ours.
[[nodiscard]] ServiceAddress service_address(
    const std::function<std::optional<std::string>(std::string_view)>& environment, pid_t own
);

/// Without the variables above: children of ours must not speak in our name.
[[nodiscard]] std::vector<std::string> without_service_address(std::vector<std::string> environment
);

/// Tells the service manager how this process is. Never waits and never fails: nobody listening is
/// not our trouble. Belongs to one loop.
class ServiceManager {
public:
    explicit ServiceManager(ServiceAddress address);

    [[nodiscard]] bool listening() const { return socket_.valid(); }
    /// It serves; `status` is one line for people.
    void ready(std::string_view status);
    /// It reads its settings anew; ready() says that it is done.
    void reloading(TimePoint now);
    void stopping(std::string_view status);
    /// Progress for people, also while it stops.
    void status(std::string_view text);

    /// Sends a sign of life twice in each interval of the watchdog, from the loop of `timers`: a
    /// loop that hangs sends none. Returns at once when nobody wants any, else never.
    [[nodiscard]] boost::asio::awaitable<void> feed_watchdog(runtime::Timers& timers);

private:
    void send(std::string_view text);

    ServiceAddress address_;
    UniqueFd socket_;
};

} // namespace rbee::process
