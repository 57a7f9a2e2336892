#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rbee {

using Duration = std::chrono::steady_clock::duration;
using TimePoint = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

/// The only source of time below apps/. Implementations are thread-safe.
class Clock {
public:
    virtual ~Clock() = default;
    /// Monotonic; for waits and ages.
    [[nodiscard]] virtual TimePoint now() const = 0;
    /// For records that people read; never compared inside.
    [[nodiscard]] virtual WallTime wall() const = 0;
};

/// The operating system's clocks.
class SystemClock final : public Clock {
public:
    [[nodiscard]] TimePoint now() const override { return std::chrono::steady_clock::now(); }
    [[nodiscard]] WallTime wall() const override { return std::chrono::system_clock::now(); }
};

/// RFC 3339 in UTC with milliseconds, such as "2026-01-31T08:00:00.000Z".
[[nodiscard]] std::string to_rfc3339(WallTime time);

/// Reads a date-time of RFC 3339 §5.6: four-digit year, `T`, `t` or a blank between date and time,
/// an optional fraction (finer than a nanosecond is cut off), a zone that must be there. A leap
/// second counts as the first second of the next minute. Nothing when it is anything else.
[[nodiscard]] std::optional<WallTime> parse_rfc3339(std::string_view text);

/// Whole milliseconds since the Unix epoch.
[[nodiscard]] std::int64_t to_unix_ms(WallTime time);

} // namespace rbee
