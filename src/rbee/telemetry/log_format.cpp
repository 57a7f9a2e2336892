#include "rbee/telemetry/log_format.hpp"

#include "rbee/telemetry/redact.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <type_traits>
#include <variant>

namespace rbee::telemetry::detail {
namespace {

/// `text` is redacted already: no control characters, valid UTF-8.
void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    out += '"';
}

std::string shown_text(std::string_view key, std::string_view text) {
    return names_a_secret(key) && !text.empty() ? "[REDACTED]" : redact(text);
}

void append_json_value(std::string& out, const Field& field) {
    std::visit(
        [&](const auto& value) {
            using T = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<T, std::string_view>) {
                append_quoted(out, shown_text(field.key(), value));
            } else if constexpr (std::is_same_v<T, double>) {
                // JSON has no word for infinity
                out += std::isfinite(value) ? fmt::format("{}", value) : "null";
            } else {
                fmt::format_to(std::back_inserter(out), "{}", value);
            }
        },
        field.value()
    );
}

void append_pair(std::string& out, std::string_view key, std::string_view text) {
    out += ',';
    append_quoted(out, key);
    out += ':';
    append_quoted(out, text);
}

/// A field may not replace what every line has.
bool is_reserved(std::string_view key) {
    static constexpr std::array<std::string_view, 6> names = {
        "timestamp", "level", "component", "event", "message", "correlation_id"
    };
    return std::ranges::find(names, key) != names.end();
}

struct LevelStyle {
    std::string_view name;
    std::string_view colour;
};

LevelStyle style_of(Level level) {
    switch (level) {
    case Level::trace:
        return {"TRACE", "\x1b[2m"};
    case Level::debug:
        return {"DEBUG", "\x1b[36m"};
    case Level::info:
        return {"INFO ", "\x1b[32m"};
    case Level::warn:
        return {"WARN ", "\x1b[33m"};
    case Level::error:
    case Level::off:
        break;
    }
    return {"ERROR", "\x1b[31m"};
}

void append_pretty_field(std::string& out, const Field& field) {
    out += ' ';
    out += redact(field.key());
    out += '=';
    std::visit(
        [&](const auto& value) {
            if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
                const std::string text = shown_text(field.key(), value);
                if (text.empty() || text.find_first_of(" \"=") != std::string::npos) {
                    append_quoted(out, text);
                } else {
                    out += text;
                }
            } else {
                fmt::format_to(std::back_inserter(out), "{}", value);
            }
        },
        field.value()
    );
}

} // namespace

std::string json_line(const Line& line) {
    std::string out = R"({"timestamp":")";
    out += to_rfc3339(line.time);
    out += '"';
    append_pair(out, "level", to_string(line.level));
    append_pair(out, "component", redact(line.component));
    append_pair(out, "event", redact(line.event));
    append_pair(out, "message", redact(line.message));
    if (!line.correlation_id.empty()) {
        append_pair(out, "correlation_id", redact(line.correlation_id));
    }
    for (const Field& field : line.fields) {
        out += ',';
        append_quoted(out, redact(field.key()) + (is_reserved(field.key()) ? "_" : ""));
        out += ':';
        append_json_value(out, field);
    }
    out += '}';
    return out;
}

std::string pretty_line(const Line& line, bool colour) {
    const LevelStyle style = style_of(line.level);
    std::string out = to_rfc3339(line.time);
    out += ' ';
    out += colour ? style.colour : "";
    out += style.name;
    out += colour ? "\x1b[0m" : "";
    out += ' ';
    out += redact(line.event);
    out += ' ';
    out += redact(line.message);
    for (const Field& field : line.fields) {
        append_pretty_field(out, field);
    }
    if (!line.correlation_id.empty()) {
        append_pretty_field(out, Field("correlation_id", line.correlation_id));
    }
    return out;
}

} // namespace rbee::telemetry::detail
