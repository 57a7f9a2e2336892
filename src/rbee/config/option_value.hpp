#pragma once

#include "rbee/base/result.hpp"

#include <cstdint>
#include <limits>
#include <string_view>

namespace rbee::config {

/// What a number may be, both ends included.
struct NumberRange {
    std::uint64_t min = 0;
    std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
};

/// `text` as the number of the setting `name`. Fails with Errc::invalid_argument, naming both ends.
[[nodiscard]] Result<std::uint64_t>
parse_number(std::string_view name, std::string_view text, NumberRange range);

/// `text` of the setting `name`: on or off. Fails with Errc::invalid_argument.
[[nodiscard]] Result<bool> parse_switch(std::string_view name, std::string_view text);

} // namespace rbee::config
