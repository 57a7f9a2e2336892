#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

#include <exception>
#include <tuple>

/// Ends of asio objects where a failure would change nothing: the caller has no more use for the
/// object and could do nothing else. Safe in destructors. Each belongs to the loop of its object.
namespace rbee::runtime {

/// Closes a socket or descriptor; its pending operations end with operation_aborted. Does nothing
/// when it is closed already.
template <typename Io>
void close_quietly(Io& io) noexcept {
    boost::system::error_code ignored; // the descriptor is gone in any case, see close(2)
    std::ignore = io.close(ignored);
}

/// Ends the pending operations of a socket or descriptor with operation_aborted.
template <typename Io>
void cancel_quietly(Io& io) noexcept {
    boost::system::error_code ignored; // fails only when it is closed, and then nothing is pending
    std::ignore = io.cancel(ignored);
}

/// Ends the waits for a timer with operation_aborted.
inline void cancel_quietly(boost::asio::steady_timer& timer) noexcept {
    try {
        timer.cancel();
    } catch (const std::exception&) {
        return; // asio reserves the right and has no case of it; the waits end at their time
    }
}

} // namespace rbee::runtime
