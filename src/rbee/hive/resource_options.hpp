#pragma once

#include "rbee/base/result.hpp"
#include "rbee/hive/option_values.hpp"
#include "rbee/hive/settings.hpp"

namespace rbee::hive {

/// Reads what concerns idle workers, memory, disk, GPUs and processors. Fails with
/// Errc::invalid_argument, naming the setting.
[[nodiscard]] Result<void> fill_resources(const OptionValues& values, Settings& settings);

} // namespace rbee::hive
