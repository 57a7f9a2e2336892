#pragma once

#include "rbee/audit/event.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/base/result.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <memory>

namespace rbee::audit {

/// The outcome of a record for a coroutine: taken when the event is submitted, awaited when the
/// response is about to begin, so that the disk works while the request does. Belongs to one event
/// loop; may be dropped at any time.
class Receipt {
public:
    /// One that is good at once: nothing was to be waited for.
    Receipt() = default;

    /// Submits `event`. When its class asks for nothing, so does the receipt.
    [[nodiscard]] static Receipt
    submit(Logger& logger, Event event, boost::asio::any_io_executor executor);

    /// Returns when the record is durable, or why there is none: an error with the wire code
    /// AUDIT_UNAVAILABLE where the caller must refuse; where it may go on, that error is dropped.
    /// Throws operation_aborted when the waiting coroutine is cancelled.
    [[nodiscard]] boost::asio::awaitable<Result<void>> wait();

private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace rbee::audit
