#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace rbee::domain {

/// A worker that is kept for ever.
inline constexpr Duration keep_for_ever = Duration::max();

/// How long a worker without requests is kept (behaviour.md 4.6): "90s", "5m", "1h30m", "250ms", a
/// bare number of seconds, or "forever" (any negative number says the same). At most 365 days.
/// Fails with Errc::invalid_argument.
[[nodiscard]] Result<Duration> parse_keep_alive(std::string_view text);

/// The same from a number of seconds.
[[nodiscard]] Result<Duration> keep_alive_of(std::int64_t seconds);

/// What decides whether a worker may go for lack of work.
struct IdleState {
    bool in_use = false; ///< It has requests, or is not ready for any.
    bool pinned = false;
    TimePoint since;     ///< When it last had work.
    Duration keep_alive; ///< Or keep_for_ever.
};

/// When the worker is to be stopped if nothing comes; nothing when it stays. Pure.
[[nodiscard]] std::optional<TimePoint> idle_stop_due(const IdleState& state);

} // namespace rbee::domain
