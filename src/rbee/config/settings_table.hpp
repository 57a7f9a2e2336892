#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/paths.hpp"
#include "rbee/config/toml_file.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// One description of each setting of a program; its flag, its variable, its place in the file,
/// --help, the example file and the documentation all come from there (behaviour.md 14).
namespace rbee::config {

/// One setting and where it can come from.
struct Setting {
    enum class Kind : std::uint8_t {
        text,
        number, ///< A whole number.
        list,   ///< Texts; the flag may be repeated, and a variable has ',' between them.
        toggle, ///< "on" or "off"; in the file true and false too.
    };
    std::string_view name;     ///< "--" + name is the flag. Names are unique in a table.
    std::string_view variable; ///< Environment variable, or empty.
    std::string_view help;     ///< One sentence; a default stands at its end, in brackets.
    Kind kind = Kind::text;
    std::string key = {};          ///< In the file, such as "server.port".
    std::string_view example = {}; ///< For the example file, where the default is not a value.
    char short_flag = 0;           ///< Such as 'p', or none.
    bool bare = false;             ///< The flag has no value: it means "on".
    bool live = false;             ///< A reload applies it without a restart.
    bool secret = false;           ///< Its value is never shown.
};

/// The default of a setting: what stands in brackets at the end of its help, or nothing.
[[nodiscard]] std::string_view default_text(const Setting& setting);
/// The same as a value that could be given, or empty when it is described in words only.
[[nodiscard]] std::string_view default_value(const Setting& setting);

/// One value that somebody gave.
struct Given {
    enum class Origin : std::uint8_t { file, environment, flag };
    std::vector<std::string> texts; ///< Several only for lists.
    Origin origin = Origin::flag;
    std::string where; ///< "--port", "RBEE_QUEEN_PORT" or "/etc/rbee/queen.toml:3".

    /// As one text, with ',' between the values of a list.
    [[nodiscard]] std::string text() const;
};

/// What was given, by the names of the settings.
using SettingValues = std::map<std::string, Given, std::less<>>;

/// Where values come from; the first that has one wins, in this order.
struct SettingSources {
    std::map<std::string, std::vector<std::string>, std::less<>> flags; ///< By name.
    Environment environment;
    TomlFile* file = nullptr;
};

/// A setting of the file that a variable overrides; for the log. Values as they may be shown.
struct Override {
    std::string key;
    std::string variable;
    std::string from_file;
    std::string from_environment;
};

/// The values of all settings that were given.
struct ReadSettings {
    SettingValues values;
    std::vector<Override> overrides;
};

/// Reads all sources. An empty text in the file or a variable counts as not given. The file is read
/// wholly, even where a flag wins, so that a mistake in it does not wait for its day. Fails with
/// Errc::invalid_argument for a value of the wrong type, naming file, line, key and type. Whether
/// the file has keys that nobody asked for is left to TomlFile::check_unknown().
[[nodiscard]] Result<ReadSettings>
read_settings(std::span<const Setting> rows, const SettingSources& sources);

/// The value of one setting at `key` of the file; nothing when it is not there or empty.
[[nodiscard]] Result<std::optional<Given>>
read_from_file(TomlFile& file, const Setting& setting, const std::string& key);

/// What may be shown of a value: its text, "[REDACTED]" for a secret, the default for none.
[[nodiscard]] std::string shown(const Setting& setting, const Given* given);

/// One setting whose value is another one than before. Values as they may be shown.
struct Change {
    std::string key;
    std::string before;
    std::string after;
    bool live = false;
};

/// The settings that differ, in the order of `rows`. A default that was spelt out is no difference.
[[nodiscard]] std::vector<Change>
changes(std::span<const Setting> rows, const SettingValues& before, const SettingValues& after);

/// `fresh`, with the values of `running` for every setting that cannot change without a restart:
/// what holds after a reload.
[[nodiscard]] SettingValues
after_reload(std::span<const Setting> rows, const SettingValues& running, SettingValues fresh);

} // namespace rbee::config
