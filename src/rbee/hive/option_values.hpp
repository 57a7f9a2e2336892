#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/option_value.hpp"
#include "rbee/config/paths.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::hive {

/// One setting of the program and where it can come from.
struct OptionRow {
    enum class Kind { text, number, list };
    std::string_view name;     ///< "--" + name; in the file hive.<name> with '_' for '-'.
    std::string_view variable; ///< Environment variable, or empty.
    std::string_view help;
    Kind kind = Kind::text;
    std::string_view file_key = {}; ///< Instead of hive.<name>.
};

/// All settings, in the order of --help.
[[nodiscard]] const std::vector<OptionRow>& option_rows();

/// What was given, by name; several values only for lists.
class OptionValues {
public:
    void set(std::string_view name, std::vector<std::string> values);
    /// Adds what is not there yet from the environment, then from a TOML file.
    void add_environment(const config::Environment& environment);
    [[nodiscard]] Result<void> add_file(const std::string& path);

    /// Names that were given and begin with `prefix`; those that the file may choose freely.
    [[nodiscard]] std::vector<std::string> names_under(std::string_view prefix) const;
    [[nodiscard]] std::string text(std::string_view name, const std::string& fallback = {}) const;
    [[nodiscard]] std::vector<std::string> list(std::string_view name) const;
    /// A number in `range`. Fails with Errc::invalid_argument, naming the setting.
    [[nodiscard]] Result<std::uint64_t>
    number(std::string_view name, std::uint64_t fallback, config::NumberRange range) const;
    /// Whether it is "on"; off when it was not given. Fails with Errc::invalid_argument.
    [[nodiscard]] Result<bool> on(std::string_view name) const;

private:
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

} // namespace rbee::hive
