#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/signal_set.hpp>

#include <vector>

namespace rbee::runtime {

/// Waits for one of `signals` (such as SIGTERM) and returns its number. While it waits, and only
/// then, the signals do not have their default effect. Throws system_error(operation_aborted) when
/// cancelled.
[[nodiscard]] boost::asio::awaitable<int> wait_signal(std::vector<int> signals);

/// Takes signals one after the other. From construction to destruction they do not have their
/// default effect and none is lost between two waits, as it must be for SIGHUP.
class Signals {
public:
    Signals(const boost::asio::any_io_executor& executor, const std::vector<int>& signals);
    /// The number of the next one. Throws system_error(operation_aborted) when cancelled.
    [[nodiscard]] boost::asio::awaitable<int> next();

private:
    boost::asio::signal_set set_;
};

} // namespace rbee::runtime
