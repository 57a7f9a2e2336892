#pragma once

#include "rbee/audit/event.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>

namespace rbee::api {

/// Records an event of this request: at once, while the answer waits for it before its first byte
/// where the mode of the log asks for that, and is 503 AUDIT_UNAVAILABLE where it must not be given
/// without a record. The logger must outlive the exchange.
void record_and_hold(http::Exchange& exchange, audit::Logger& logger, audit::Event event);

/// Waits for what was recorded of this request so far: the answer to give instead of going on, if
/// there is one.
[[nodiscard]] boost::asio::awaitable<std::optional<http::Response>>
await_records(http::Exchange& exchange);

} // namespace rbee::api
