#include "rbee/config/settings_table.hpp"

#include "rbee/base/text.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace rbee::config {
namespace {

using Kind = Setting::Kind;

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> out;
    for (const std::string_view part : split(text, ',')) {
        if (!trim(part).empty()) {
            out.emplace_back(trim(part));
        }
    }
    return out;
}

template <typename T>
Result<std::vector<std::string>>
one_text(TomlFile& file, const std::string& key, std::string (*to_text)(T)) {
    auto value = file.get<T>(key);
    if (!value) {
        return error_of(value);
    }
    std::vector<std::string> out;
    if (std::optional<T>& there = *value) {
        out.push_back(to_text(std::move(*there)));
    }
    return out;
}

std::string digits(std::uint64_t number) {
    return std::to_string(number);
}

std::string same(std::string text) { // NOLINT(performance-unnecessary-value-param): moved through
    return text;
}

std::string on_off(bool on) {
    return on ? "on" : "off";
}

/// "on" and "off" are texts in older files and the words of flags and variables.
Result<std::vector<std::string>> toggle_texts(TomlFile& file, const std::string& key) {
    auto flag = one_text<bool>(file, key, on_off);
    if (flag) {
        return flag;
    }
    auto word = one_text<std::string>(file, key, same);
    return word ? word : flag;
}

Result<std::vector<std::string>>
file_texts(TomlFile& file, const Setting& setting, const std::string& key) {
    switch (setting.kind) {
    case Kind::number:
        return one_text<std::uint64_t>(file, key, digits);
    case Kind::toggle:
        return toggle_texts(file, key);
    case Kind::list: {
        auto values = file.get<std::vector<std::string>>(key);
        if (!values) {
            return error_of(values);
        }
        return std::move(*values).value_or(std::vector<std::string>());
    }
    case Kind::text:
        break;
    }
    return one_text<std::string>(file, key, same);
}

std::vector<std::string> variable_texts(const Setting& setting, const Environment& environment) {
    if (setting.variable.empty() || !environment) {
        return {};
    }
    const auto value = environment(setting.variable);
    if (!value || value->empty()) {
        return {};
    }
    return setting.kind == Kind::list ? split_list(*value) : std::vector{*value};
}

const Given* find(const SettingValues& values, std::string_view name) {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : &found->second;
}

/// The text that counts, with the default in place of none.
std::string effective(const Setting& setting, const Given* given) {
    return given != nullptr ? given->text() : std::string(default_value(setting));
}

} // namespace

std::string_view default_text(const Setting& setting) {
    const std::string_view help = setting.help;
    const auto open = help.rfind('[');
    if (!help.ends_with(']') || open == std::string_view::npos) {
        return {};
    }
    return help.substr(open + 1, help.size() - open - 2);
}

std::string_view default_value(const Setting& setting) {
    const std::string_view text = default_text(setting);
    const bool words = text.find_first_of(" $") != std::string_view::npos || text == "none";
    if (words || (setting.kind == Kind::number && !parse_u64(text))) {
        return {};
    }
    return text.empty() && setting.kind == Kind::toggle ? "off" : text;
}

std::string Given::text() const {
    std::string out;
    for (const std::string& one : texts) {
        out += out.empty() ? "" : ",";
        out += one;
    }
    return out;
}

Result<std::optional<Given>>
read_from_file(TomlFile& file, const Setting& setting, const std::string& key) {
    auto texts = file_texts(file, setting, key);
    if (!texts) {
        return error_of(texts);
    }
    std::erase(*texts, "");
    if (texts->empty()) {
        return std::optional<Given>();
    }
    return Given{
        std::move(*texts),
        Given::Origin::file,
        file.name() + ":" + std::to_string(file.line(key)),
    };
}

Result<ReadSettings> read_settings(std::span<const Setting> rows, const SettingSources& sources) {
    ReadSettings out;
    for (const Setting& setting : rows) {
        std::optional<Given> in_file;
        if (sources.file != nullptr && !setting.key.empty()) {
            auto read = read_from_file(*sources.file, setting, setting.key);
            if (!read) {
                return error_of(read);
            }
            in_file = std::move(*read);
        }
        const auto flag = sources.flags.find(setting.name);
        if (flag != sources.flags.end() && !flag->second.empty()) {
            out.values[std::string(setting.name)] = {
                flag->second, Given::Origin::flag, "--" + std::string(setting.name)
            };
            continue;
        }
        auto texts = variable_texts(setting, sources.environment);
        if (!texts.empty()) {
            Given given{
                std::move(texts), Given::Origin::environment, std::string(setting.variable)
            };
            if (in_file && in_file->texts != given.texts) {
                out.overrides.push_back(
                    {setting.key,
                     std::string(setting.variable),
                     shown(setting, &*in_file),
                     shown(setting, &given)}
                );
            }
            out.values[std::string(setting.name)] = std::move(given);
        } else if (in_file) {
            out.values[std::string(setting.name)] = std::move(*in_file);
        }
    }
    return out;
}

std::string shown(const Setting& setting, const Given* given) {
    if (given == nullptr) {
        return std::string(default_text(setting));
    }
    return setting.secret ? "[REDACTED]" : given->text();
}

std::vector<Change>
changes(std::span<const Setting> rows, const SettingValues& before, const SettingValues& after) {
    std::vector<Change> out;
    for (const Setting& setting : rows) {
        const Given* old = find(before, setting.name);
        const Given* now = find(after, setting.name);
        if (effective(setting, old) != effective(setting, now)) {
            out.push_back({setting.key, shown(setting, old), shown(setting, now), setting.live});
        }
    }
    return out;
}

SettingValues
after_reload(std::span<const Setting> rows, const SettingValues& running, SettingValues fresh) {
    for (const Setting& setting : rows) {
        if (setting.live) {
            continue;
        }
        if (const Given* old = find(running, setting.name)) {
            fresh.insert_or_assign(std::string(setting.name), *old);
        } else if (const auto found = fresh.find(setting.name); found != fresh.end()) {
            fresh.erase(found);
        }
    }
    return fresh;
}

} // namespace rbee::config
