#include "rbee/domain/keep_alive.hpp"

#include "rbee/base/text.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

namespace rbee::domain {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr std::int64_t seconds_max = 365LL * 24 * 3600;
constexpr std::size_t text_bytes_max = 32;

std::unexpected<Error> refused() {
    return fail(
        Errc::invalid_argument,
        "keep_alive must be a number of seconds, a time such as \"90s\", \"5m\" or \"1h30m\" of at "
        "most 365 days, or \"forever\""
    );
}

/// Takes one "30m" off the front of `text`; nothing when there is none.
std::optional<Milliseconds> take_part(std::string_view& text) {
    // Longer names first: "ms" begins like "m".
    constexpr std::array<std::pair<std::string_view, Milliseconds>, 5> units = {{
        {"ms", Milliseconds(1)},
        {"s", std::chrono::seconds(1)},
        {"m", std::chrono::minutes(1)},
        {"h", std::chrono::hours(1)},
        {"d", std::chrono::hours(24)},
    }};
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto count = parse_u64(text.substr(0, digits));
    text.remove_prefix(digits);
    const auto unit = std::ranges::find_if(units, [text](const auto& one) {
        return text.starts_with(one.first);
    });
    if (!count || *count > seconds_max * 1000 || unit == units.end()) {
        return std::nullopt;
    }
    text.remove_prefix(unit->first.size());
    const auto most = static_cast<std::uint64_t>(std::chrono::seconds(seconds_max) / unit->second);
    return *count > most ? std::nullopt
                         : std::optional(unit->second * static_cast<std::int64_t>(*count));
}

} // namespace

Result<Duration> keep_alive_of(std::int64_t seconds) {
    if (seconds < 0) {
        return keep_for_ever;
    }
    if (seconds > seconds_max) {
        return refused();
    }
    return Duration(std::chrono::seconds(seconds));
}

Result<Duration> parse_keep_alive(std::string_view text) {
    text = trim(text);
    if (text.empty() || text.size() > text_bytes_max) {
        return refused();
    }
    if (text == "forever") {
        return keep_for_ever;
    }
    if (const auto seconds = parse_u64(text)) {
        return *seconds > seconds_max ? refused()
                                      : keep_alive_of(static_cast<std::int64_t>(*seconds));
    }
    const bool negative = text.starts_with('-');
    text.remove_prefix(negative ? 1 : 0);
    if (negative && parse_u64(text)) {
        return keep_for_ever;
    }
    Milliseconds sum{0};
    do {
        const auto part = take_part(text);
        if (!part) {
            return refused();
        }
        sum += *part;
    } while (!text.empty());
    if (sum > std::chrono::seconds(seconds_max)) {
        return refused();
    }
    return negative ? keep_for_ever : Duration(sum);
}

std::optional<TimePoint> idle_stop_due(const IdleState& state) {
    if (state.in_use || state.pinned || state.keep_alive == keep_for_ever) {
        return std::nullopt;
    }
    return state.since + state.keep_alive;
}

} // namespace rbee::domain
