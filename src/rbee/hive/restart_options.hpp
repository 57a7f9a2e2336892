#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/settings_table.hpp"
#include "rbee/config/toml_file.hpp"
#include "rbee/hive/option_values.hpp"
#include "rbee/hive/restart_settings.hpp"

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::hive {

/// The settings of [restart], for the table of all settings.
[[nodiscard]] std::vector<OptionRow> restart_rows();

/// The tables [restart.models."REFERENCE"] of the file: by model, the keys of [restart] that it
/// has.
using RestartTables = std::map<std::string, std::map<std::string, config::Given, std::less<>>>;

/// One of them, commented out, for the end of the example file.
inline constexpr std::string_view restart_example =
    "# Restarts of a single model, by its reference or its short name; what is not given here is "
    "as in\n"
    "# [restart], whose keys it may all have. As many of these tables as there are such models; a\n"
    "# reload applies them.\n"
    "#[restart.models.\"my-model\"]\n"
    "#enabled = true\n"
    "#max_attempts = 3";

/// Reads them. Fails with Errc::invalid_argument for a value of the wrong type; names that are no
/// settings are left to TomlFile::check_unknown().
[[nodiscard]] Result<RestartTables> read_restart_tables(config::TomlFile& file);

/// The same by full keys, such as restart.models."tiny".max_attempts.
[[nodiscard]] std::map<std::string, std::string> flattened(const RestartTables& models);

/// Sets the rules for all models and for single ones. What a model's table does not say is as for
/// all others. Fails with Errc::invalid_argument, naming where the value came from.
[[nodiscard]] Result<void>
fill_restart(const OptionValues& values, const RestartTables& models, RestartSettings& settings);

} // namespace rbee::hive
