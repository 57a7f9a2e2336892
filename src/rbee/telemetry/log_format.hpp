#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/telemetry/log.hpp"

#include <initializer_list>
#include <string>
#include <string_view>

namespace rbee::telemetry::detail {

/// Everything that one line says.
struct Line {
    WallTime time;
    Level level;
    std::string_view component;
    std::string_view event;
    std::string_view message;
    std::string_view correlation_id;
    std::initializer_list<Field> fields;
};

/// One JSON object without a line end.
[[nodiscard]] std::string json_line(const Line& line);
/// One line of text without a line end; `colour` adds terminal colours.
[[nodiscard]] std::string pretty_line(const Line& line, bool colour);

} // namespace rbee::telemetry::detail
