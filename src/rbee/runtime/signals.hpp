#pragma once

#include <boost/asio/awaitable.hpp>

#include <vector>

namespace rbee::runtime {

/// Waits for one of `signals` (such as SIGTERM) and returns its number. While it waits, and only
/// then, the signals do not have their default effect. Throws system_error(operation_aborted) when
/// cancelled.
[[nodiscard]] boost::asio::awaitable<int> wait_signal(std::vector<int> signals);

} // namespace rbee::runtime
