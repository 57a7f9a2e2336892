#pragma once

#include "rbee/api/deadlines.hpp"
#include "rbee/auth/token_source.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/server.hpp"
#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/options.hpp"
#include "rbee/telemetry/log.hpp"

namespace rbee::queen {

/// What takes other settings while it runs.
struct LiveParts {
    Dispatcher& dispatcher;
    Fleet& fleet;
    api::Deadlines& deadlines;
    http::Server& server;
    telemetry::Logger& log;
};

/// Puts the settings of `fresh` that are marked live (option_rows()) in force, and into `running`.
void apply_live(const Options& fresh, Options& running, const LiveParts& parts);

/// Reads every file that the options name, as the start does: tokens, certificates. Starts and
/// changes nothing.
[[nodiscard]] Result<void> check_files(const Options& options, const auth::FoundToken& token);

} // namespace rbee::queen
