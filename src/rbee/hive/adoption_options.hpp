#pragma once

#include "rbee/base/result.hpp"
#include "rbee/hive/option_values.hpp"
#include "rbee/hive/options.hpp"
#include "rbee/hive/settings.hpp"

#include <vector>

namespace rbee::hive {

/// The settings of what becomes of workers when their hive dies.
[[nodiscard]] std::vector<OptionRow> adoption_rows();

/// Fills `settings.adoption`; needs the name of the node. Errc::invalid_argument for what makes no
/// sense.
[[nodiscard]] Result<void>
fill_adoption(const OptionValues& values, const Surroundings& around, Settings& settings);

} // namespace rbee::hive
