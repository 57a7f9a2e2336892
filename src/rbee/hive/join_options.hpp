#pragma once

#include "rbee/base/result.hpp"
#include "rbee/hive/option_values.hpp"
#include "rbee/hive/options.hpp"
#include "rbee/hive/settings.hpp"

namespace rbee::hive {

/// The certificate files that were named.
[[nodiscard]] Result<void> fill_tls(const OptionValues& values, Settings& settings);

/// Takes over what the queen gave when this hive joined her, or orders to join one. Needs addresses
/// and certificates in `settings`.
[[nodiscard]] Result<void>
fill_join(const OptionValues& values, const Surroundings& around, Settings& settings);

} // namespace rbee::hive
