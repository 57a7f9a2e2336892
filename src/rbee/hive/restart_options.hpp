#pragma once

#include "rbee/base/result.hpp"
#include "rbee/hive/option_values.hpp"
#include "rbee/hive/restart_settings.hpp"

#include <string_view>
#include <vector>

namespace rbee::hive {

/// Where single models have their tables in the file: [restart.models."REFERENCE"].
inline constexpr std::string_view restart_models_prefix = "restart.models.";

/// The settings of [restart], for the table of all settings.
[[nodiscard]] std::vector<OptionRow> restart_rows();

/// Reads them, for all models and for single ones. Fails with Errc::invalid_argument.
[[nodiscard]] Result<void> fill_restart(const OptionValues& values, RestartSettings& settings);

} // namespace rbee::hive
