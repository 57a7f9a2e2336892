#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/option_value.hpp"
#include "rbee/config/settings_table.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::hive {

/// One setting of the program. A row without a key stands at hive.<name> of the file, with '_' for
/// '-'.
using OptionRow = config::Setting;

/// All settings, in the order of --help, each with its key.
[[nodiscard]] const std::vector<OptionRow>& option_rows();

/// `error` with where the value came from, unless that is a flag, which it names anyway.
[[nodiscard]] std::unexpected<Error> wrong(const Error& error, const config::Given& given);

/// What was given, by name; several values only for lists.
class OptionValues {
public:
    explicit OptionValues(config::SettingValues values) : values_(std::move(values)) {}

    /// Null when it was not given.
    [[nodiscard]] const config::Given* find(std::string_view name) const;
    [[nodiscard]] std::string text(std::string_view name, const std::string& fallback = {}) const;
    [[nodiscard]] std::vector<std::string> list(std::string_view name) const;
    /// A number in `range`. Fails with Errc::invalid_argument, naming the setting and its source.
    [[nodiscard]] Result<std::uint64_t>
    number(std::string_view name, std::uint64_t fallback, config::NumberRange range) const;
    /// Whether it is "on"; off when it was not given. Fails as number() does.
    [[nodiscard]] Result<bool> on(std::string_view name) const;
    /// It stands on the command line.
    [[nodiscard]] bool is_flag(std::string_view name) const;

private:
    config::SettingValues values_;
};

} // namespace rbee::hive
