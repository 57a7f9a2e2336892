#include "rbee/config/option_value.hpp"

#include "rbee/base/text.hpp"

#include <fmt/format.h>

namespace rbee::config {

Result<std::uint64_t>
parse_number(std::string_view name, std::string_view text, NumberRange range) {
    const auto value = parse_u64(text);
    if (!value || *value < range.min || *value > range.max) {
        return fail(
            Errc::invalid_argument,
            fmt::format("{} must be a number from {} to {}", name, range.min, range.max)
        );
    }
    return *value;
}

Result<bool> parse_switch(std::string_view name, std::string_view text) {
    if (text != "on" && text != "off") {
        return fail(Errc::invalid_argument, fmt::format("{} must be on or off", name));
    }
    return text == "on";
}

} // namespace rbee::config
