#include "rbee/cli/table.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/text.hpp"
#include "rbee/cli/printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

namespace rbee::cli {
namespace {

Console::Colour colour_of(std::string_view cell) {
    constexpr std::array good = {"idle", "ready", "available", "ok", "up"};
    constexpr std::array waiting = {"loading", "busy", "draining"};
    constexpr std::array bad = {
        "failed", "crashed", "unhealthy", "unavailable", "stopped", "down", "dying", "backoff"
    };
    if ((std::ranges::find(good, cell) != good.end())) {
        return Console::Colour::green;
    }
    if ((std::ranges::find(waiting, cell) != waiting.end())) {
        return Console::Colour::yellow;
    }
    return (std::ranges::find(bad, cell) != bad.end()) ? Console::Colour::red
                                                       : Console::Colour::none;
}

std::string pad(std::string_view shown, std::size_t width, std::size_t target, Table::Align align) {
    const std::string space(target > width ? target - width : 0, ' ');
    return align == Table::Align::right ? space + std::string(shown) : std::string(shown) + space;
}

std::optional<int> number(std::string_view text, std::size_t at, std::size_t size) {
    const auto value = text.size() >= at + size ? parse_u64(text.substr(at, size)) : std::nullopt;
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

} // namespace

void Table::add(std::vector<std::string> cells) {
    RBEE_ASSERT(cells.size() <= columns_.size());
    cells.resize(columns_.size());
    std::ranges::transform(cells, cells.begin(), [](const auto& cell) { return one_line(cell); });
    rows_.push_back(std::move(cells));
}

std::string Table::render(const Console& console) const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = display_width(columns_[i].heading);
        for (const auto& row : rows_) {
            width = std::max(width, display_width(row[i]));
        }
        widths.push_back(width);
    }
    std::string out;
    const auto line = [&](auto&& cell_text, auto&& colour) {
        std::string text;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            const std::string cell = cell_text(i);
            const bool last = i + 1 == columns_.size();
            const auto target = last && columns_[i].align == Align::left ? 0 : widths[i];
            const auto shown = console.paint(colour(cell), cell);
            text += pad(shown, display_width(cell), target, columns_[i].align);
            text += last ? "" : "  ";
        }
        out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
    };
    line(
        [&](std::size_t i) { return columns_[i].heading; },
        [](const std::string&) { return Console::Colour::bold; }
    );
    for (const auto& row : rows_) {
        line(
            [&](std::size_t i) { return row[i]; },
            [](const std::string& cell) { return colour_of(cell); }
        );
    }
    return out;
}

std::string human_age(std::chrono::seconds age) {
    return age < std::chrono::seconds(1) ? "now" : human_duration(age);
}

std::string human_duration(std::chrono::seconds length) {
    constexpr std::int64_t minute = 60;
    constexpr std::int64_t hour = 60 * minute;
    constexpr std::int64_t day = 24 * hour;
    const std::int64_t seconds = length.count();
    if (seconds < 2 * minute) {
        return fmt::format("{} s", seconds);
    }
    if (seconds < 2 * hour) {
        return fmt::format("{} min", seconds / minute);
    }
    if (seconds < 2 * day) {
        return fmt::format("{} h", seconds / hour);
    }
    return fmt::format("{} d", seconds / day);
}

std::string age_of(std::string_view rfc3339, std::chrono::system_clock::time_point now) {
    const auto year = number(rfc3339, 0, 4);
    const auto month = number(rfc3339, 5, 2);
    const auto day = number(rfc3339, 8, 2);
    const auto hour = number(rfc3339, 11, 2);
    const auto minute = number(rfc3339, 14, 2);
    const auto second = number(rfc3339, 17, 2);
    if (!year || !month || !day || !hour || !minute || !second) {
        return "-";
    }
    const std::chrono::sys_days date = std::chrono::year(*year) /
                                       std::chrono::month(static_cast<unsigned>(*month)) /
                                       std::chrono::day(static_cast<unsigned>(*day));
    const auto time = date + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
                      std::chrono::seconds(*second);
    return human_age(std::chrono::duration_cast<std::chrono::seconds>(now - time));
}

std::string
progress_line(std::string_view label, double fraction, std::string_view note, std::size_t columns) {
    constexpr std::size_t bar = 24;
    const double clamped = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0;
    const auto filled = static_cast<std::size_t>(std::floor(clamped * bar));
    std::string line = fmt::format(
        "{}  [{}{}] {:3.0f} %",
        one_line(label),
        std::string(filled, '#'),
        std::string(bar - filled, '.'),
        std::floor(clamped * 100)
    );
    if (!note.empty()) {
        line += "  " + one_line(note);
    }
    // The last column stays free: a terminal that wraps there would leave lines behind.
    while (columns > 0 && display_width(line) + 1 > columns) {
        while ((static_cast<unsigned char>(line.back()) & 0xC0U) == 0x80U) {
            line.pop_back();
        }
        line.pop_back();
    }
    return line;
}

} // namespace rbee::cli
