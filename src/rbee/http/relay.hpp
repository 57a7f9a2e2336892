#pragma once

#include "rbee/base/result.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/exchange.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace rbee::http {

/// The fields of a client's request that a program passes on to the next one: only those on a list,
/// so that nothing that a client makes up is taken for the word of a program of ours (X-Rbee-*), of
/// a proxy (X-Forwarded-*), or for a matter of the next connection (RFC 9110 §7.6.1, with what
/// Connection names). What programs say to each other is added behind this.
[[nodiscard]] Headers forwardable(const Headers& from);

/// How a relayed answer ended.
struct RelayOutcome {
    enum class Kind {
        complete,        ///< The upstream finished and the client has everything.
        upstream_failed, ///< The upstream broke off; the client was told.
        client_gone,     ///< The client stopped reading or the request was cancelled.
    };
    Kind kind = Kind::complete;
    std::optional<Error> error = {};
    std::optional<TimePoint> first_byte_at = {}; ///< When the first body byte went to the client.
};

/// Passes an upstream answer on to the client of `exchange` and owns the framing: body bytes are
/// forwarded as they come, each read as one write. For `text/event-stream` only whole events are
/// forwarded, so that a stream that breaks off can be ended with the frame that `error_frame`
/// makes; any other body is visibly cut. Nothing is buffered beyond one read and one event.
/// Thread: the loop of both. Stops when exchange.cancel() does, through the cancel source that the
/// upstream was opened with. `extra` header fields replace those of the upstream of that name.
[[nodiscard]] boost::asio::awaitable<RelayOutcome> relay(
    ResponseStream& upstream,
    Exchange& exchange,
    std::function<std::string(const Error&)> error_frame,
    Headers extra = {}
);

/// Makes the frame that ends a broken stream; unlike above it may wait, to find out the cause.
using ErrorFrame = std::function<boost::asio::awaitable<std::string>(Error)>;

/// relay() with a frame that may take a moment; the client waits for it.
[[nodiscard]] boost::asio::awaitable<RelayOutcome> relay_explained(
    ResponseStream& upstream, Exchange& exchange, ErrorFrame error_frame, Headers extra = {}
);

} // namespace rbee::http
