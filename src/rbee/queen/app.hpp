#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/auth/token_source.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/process/service_manager.hpp"
#include "rbee/queen/options.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rbee::queen {

/// What the process gives to the queen.
struct Resources {
    auth::FoundToken token;                     ///< Empty: open, which only loopback may be.
    std::vector<std::string> child_environment; ///< "NAME=value", without secrets.
    std::function<void(const std::string& line)> announce; ///< Hears the ready line.
    process::ServiceAddress service = {}; ///< Who started the queen and wants to hear of her.
    std::function<Result<Options>()> reread = {}; ///< Settings anew; without it they stay.
    config::ReloadObserver on_config = {};        ///< Hears how reloads of the settings went.
    std::unique_ptr<audit::Logger> audit = {};    ///< Opened by run_queen(); null when it is off.
};

/// The token of this installation from the sources of auth::find_token; `from_environment` is what
/// LLORCH_API_TOKEN held. Fails when a source is bad, or when the bind policy (behaviour.md 8.3)
/// wants a token or a longer one.
[[nodiscard]] Result<auth::FoundToken>
load_token(const Options& options, const config::Environment& environment, Secret from_environment);

/// Runs the queen until it is told to stop: the event loop lives inside. Returns when everything is
/// stopped in order; fails with one readable line when it could not start.
[[nodiscard]] Result<void> run_queen(const Options& options, Resources resources);

} // namespace rbee::queen
