#include "rbee/hive/stall_options.hpp"

#include <chrono>
#include <cstdint>
#include <string_view>

namespace rbee::hive {
namespace {

constexpr std::uint64_t day_s = 86'400;

Result<void> take_seconds(
    const OptionValues& values, std::string_view name, Duration& into, config::NumberRange range
) {
    const auto fallback = std::chrono::duration_cast<std::chrono::seconds>(into).count();
    const auto value = values.number(name, static_cast<std::uint64_t>(fallback), range);
    if (!value) {
        return error_of(value);
    }
    into = std::chrono::seconds(*value);
    return {};
}

} // namespace

Result<void> fill_progress_limits(const OptionValues& values, domain::ProgressLimits& limits) {
    if (auto taken = take_seconds(values, "stall-timeout", limits.stall, {0, day_s}); !taken) {
        return taken;
    }
    if (auto taken = take_seconds(values, "load-stall-timeout", limits.load_stall, {1, day_s});
        !taken) {
        return taken;
    }
    return take_seconds(values, "load-timeout", limits.load_total, {1, day_s});
}

} // namespace rbee::hive
