#pragma once

#include "rbee/audit/settings.hpp"
#include "rbee/base/result.hpp"
#include "rbee/hive/option_values.hpp"

namespace rbee::hive {

/// Fills `into` from the settings of the audit log. Fails with Errc::invalid_argument, naming the
/// setting and its source.
[[nodiscard]] Result<void> fill_audit(const OptionValues& values, audit::Settings& into);

} // namespace rbee::hive
