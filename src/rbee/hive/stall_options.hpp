#pragma once

#include "rbee/base/result.hpp"
#include "rbee/domain/progress_watch.hpp"
#include "rbee/hive/option_values.hpp"

namespace rbee::hive {

/// Takes over the settings that say for how long a worker may stand still. Fails with
/// Errc::invalid_argument, naming the setting.
[[nodiscard]] Result<void>
fill_progress_limits(const OptionValues& values, domain::ProgressLimits& limits);

} // namespace rbee::hive
