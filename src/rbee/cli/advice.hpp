#pragma once

#include "rbee/base/result.hpp"
#include "rbee/cli/settings.hpp"

#include <string>

namespace rbee::cli {

/// What the user can do about an error; one sentence, empty when there is nothing to say.
/// `settings` is null when they could not be loaded.
[[nodiscard]] std::string advice_for(const Error& error, const Settings* settings);

/// "rbee: <what happened>. <what to do>.\n"
[[nodiscard]] std::string error_line(const Error& error, const Settings* settings);

} // namespace rbee::cli
