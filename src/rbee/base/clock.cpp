#include "rbee/base/clock.hpp"

#include <cstddef>
#include <cstdint>

namespace rbee {

std::int64_t to_unix_ms(WallTime time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

namespace {

/// Writes `value` with as many digits as fit, the last one at `end`; what does not fit is lost.
void put_digits(std::string& out, std::size_t begin, std::size_t end, std::uint64_t value) {
    for (std::size_t at = end; at > begin; value /= 10) {
        out[--at] = static_cast<char>('0' + value % 10);
    }
}

} // namespace

// By hand, since every request has a few of them.
std::string to_rfc3339(WallTime time) {
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(time);
    const auto day = std::chrono::floor<std::chrono::days>(ms);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(ms - day);
    const auto number = [](auto count) { return static_cast<std::uint64_t>(count); };
    std::string out = "0000-00-00T00:00:00.000Z";
    put_digits(out, 0, 4, number(static_cast<int>(date.year())));
    put_digits(out, 5, 7, static_cast<unsigned>(date.month()));
    put_digits(out, 8, 10, static_cast<unsigned>(date.day()));
    put_digits(out, 11, 13, number(clock.hours().count()));
    put_digits(out, 14, 16, number(clock.minutes().count()));
    put_digits(out, 17, 19, number(clock.seconds().count()));
    put_digits(out, 20, 23, number(clock.subseconds().count()));
    return out;
}

} // namespace rbee
