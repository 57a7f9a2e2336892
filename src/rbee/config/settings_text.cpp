#include "rbee/config/settings_text.hpp"

#include "rbee/base/text.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace rbee::config {
namespace {

using Kind = Setting::Kind;

constexpr std::size_t line_max = 96;

std::string_view table_of(const Setting& setting) {
    const std::string_view key = setting.key;
    const auto dot = key.rfind('.');
    return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
}

std::string_view last_part(const Setting& setting) {
    const std::string_view key = setting.key;
    return key.substr(key.rfind('.') + 1); // npos + 1 is 0
}

/// `text` as comment lines of at most `line_max` bytes.
std::string comment(std::string_view text) {
    std::string out;
    std::string line = "#";
    for (const std::string_view word : split(text, ' ')) {
        if (line.size() + 1 + word.size() > line_max) {
            out += line + "\n";
            line = "#";
        }
        line += " ";
        line += word;
    }
    return out + line + "\n";
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out + "\"";
}

/// The default as TOML writes it; empty texts and lists mean that nothing is given.
std::string toml_value(const Setting& setting) {
    const std::string_view value =
        setting.example.empty() ? default_value(setting) : setting.example;
    switch (setting.kind) {
    case Kind::number:
        return std::string(value.empty() ? "0" : value);
    case Kind::toggle:
        return value == "on" ? "true" : "false";
    case Kind::list:
        return value.empty() ? "[]" : "[" + quoted(value) + "]";
    case Kind::text:
        break;
    }
    return quoted(value);
}

std::string names_of(const Setting& setting) {
    std::string out = "--" + std::string(setting.name);
    if (setting.short_flag != 0) {
        out = std::string("-") + setting.short_flag + ", " + out;
    }
    if (!setting.variable.empty()) {
        out += ", " + std::string(setting.variable);
    }
    return out;
}

std::string about(const ProgramNames& names) {
    std::string variable = "RBEE_" + std::string(names.file) + "_CONFIG";
    std::ranges::transform(variable, variable.begin(), [](char c) {
        return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    });
    const std::string file = "rbee/" + std::string(names.file) + ".toml";
    const std::string program(names.program);
    return comment(
        "Settings of " + program + "; copy it to /etc/" + file + " or ~/.config/" + file +
        ", or name it with --config or " + variable +
        ". Every line that is commented out shows the default; an empty text or list means that "
        "nothing is given. Flags win over environment variables, and those over this file. `" +
        program + " --validate-config` checks it; SIGHUP makes a running " + program +
        " read it again."
    );
}

} // namespace

std::string
example_file(std::span<const Setting> rows, const ProgramNames& names, std::string_view more) {
    std::string out = about(names);
    std::vector<std::string_view> tables;
    for (const Setting& setting : rows) {
        if (std::ranges::find(tables, table_of(setting)) == tables.end()) {
            tables.push_back(table_of(setting));
        }
    }
    for (const std::string_view table : tables) {
        out += "\n[" + std::string(table) + "]\n";
        for (const Setting& setting : rows) {
            if (table_of(setting) != table) {
                continue;
            }
            out += comment(setting.help);
            out += comment(
                names_of(setting) + (setting.live ? "; a reload applies it" : "; needs a restart")
            );
            out += "#" + std::string(last_part(setting)) + " = " + toml_value(setting) + "\n";
        }
    }
    if (!more.empty()) {
        out += "\n" + std::string(more) + "\n";
    }
    return out;
}

std::string settings_markdown(std::span<const Setting> rows) {
    std::string out = "| in the file | flag | environment | default | reload | meaning |\n"
                      "|---|---|---|---|---|---|\n";
    for (const Setting& setting : rows) {
        const std::string_view fallback = default_text(setting);
        out += "| `" + setting.key + "` | `";
        out += setting.short_flag != 0 ? std::string("-") + setting.short_flag + "`, `" : "";
        out += "--" + std::string(setting.name) + "` | ";
        out += setting.variable.empty() ? "–" : "`" + std::string(setting.variable) + "`";
        out += " | " + std::string(fallback.empty() ? "–" : fallback) + " | ";
        out += setting.live ? "yes" : "no";
        out += " | " + std::string(plain_help(setting)) + " |\n";
    }
    return out;
}

Result<std::string> printed_settings(
    std::string_view form,
    std::span<const Setting> rows,
    const ProgramNames& names,
    std::string_view more
) {
    if (form == "toml") {
        return example_file(rows, names, more);
    }
    if (form == "markdown") {
        return settings_markdown(rows);
    }
    return fail(Errc::invalid_argument, "--print-config must be toml or markdown");
}

std::string_view plain_help(const Setting& setting) {
    const std::string_view fallback = default_text(setting);
    if (fallback.empty()) {
        return setting.help;
    }
    return trim(setting.help.substr(0, setting.help.size() - fallback.size() - 2));
}

} // namespace rbee::config
