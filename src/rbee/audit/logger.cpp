#include "rbee/audit/logger.hpp"

#include <algorithm>
#include <array>

namespace rbee::audit {
namespace {

constexpr std::array<std::pair<Mode, std::string_view>, 5> names = {{
    {Mode::off, "off"},
    {Mode::async, "async"},
    {Mode::group, "group"},
    {Mode::strict, "strict"},
    {Mode::group, "local"},
}};

} // namespace

std::string_view to_string(Mode mode) {
    return std::ranges::find(names, mode, &std::pair<Mode, std::string_view>::first)->second;
}

std::optional<Mode> parse_mode(std::string_view text) {
    const auto* found = std::ranges::find(names, text, &std::pair<Mode, std::string_view>::second);
    return found == names.end() ? std::nullopt : std::optional(found->first);
}

Demand demand_of(Mode mode, EventClass kind, bool inference_fails_closed) {
    if (mode == Mode::off) {
        return Demand::nothing;
    }
    switch (kind) {
    case EventClass::control:
        return Demand::recorded;
    case EventClass::security:
        return mode == Mode::async ? Demand::nothing : Demand::told;
    case EventClass::inference:
        break;
    }
    if (inference_fails_closed || mode == Mode::strict) {
        return Demand::recorded;
    }
    return mode == Mode::async ? Demand::nothing : Demand::told;
}

} // namespace rbee::audit
