#pragma once

#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"

#include <string>
#include <vector>

#include "common.h"

namespace rbee::engine {

/// The llama-server command line for `options`, program name included: our defaults first, the
/// user's flags last so that they win.
[[nodiscard]] std::vector<std::string> llama_command_line(const LoadOptions& options);

/// Reads `options` into `params`. Wrong flags, and flags that rbee sets itself or that would end
/// the process, are Errc::invalid_argument.
[[nodiscard]] Result<void> parse_llama_flags(const LoadOptions& options, common_params& params);

} // namespace rbee::engine
