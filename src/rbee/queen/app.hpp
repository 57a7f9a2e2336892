#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/queen/options.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rbee::queen {

/// What the process gives to the queen.
struct Resources {
    Secret token;                               ///< Empty: open, which only loopback may be.
    std::vector<std::string> child_environment; ///< "NAME=value", without secrets.
    std::function<void(const std::string& line)> announce; ///< Hears the ready line.
};

/// The token of this installation (auth::find_token()); empty when there is none. Fails when the
/// file is bad, or when the bind policy (behaviour.md 8.3) wants a token or a longer one.
[[nodiscard]] Result<Secret>
load_token(const Options& options, const config::Environment& environment);

/// Runs the queen until it is told to stop: the event loop lives inside. Returns when everything is
/// stopped in order; fails with one readable line when it could not start.
[[nodiscard]] Result<void> run_queen(const Options& options, Resources resources);

} // namespace rbee::queen
