#pragma once

#include "rbee/auth/token_keeper.hpp"
#include "rbee/base/result.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/http/server.hpp"
#include "rbee/telemetry/log.hpp"

namespace rbee::hive {

/// Puts the settings of `fresh` that are marked live (option_rows()) in force, and into `running`,
/// where all parts of the hive look. Workers that run keep what they were started with.
void apply_live(
    const Settings& fresh, Settings& running, http::Server& server, telemetry::Logger& log
);

/// Reads every file that the settings name, as the start does: tokens, certificates. Starts and
/// changes nothing.
[[nodiscard]] Result<void> check_files(const Settings& settings);

} // namespace rbee::hive
