#pragma once

#include "rbee/base/result.hpp"
#include "rbee/cli/command_tree.hpp"

#include <string>

namespace rbee::cli {

/// A completion script for `shell` (bash, zsh or fish), made from the commands as they are. Fails
/// with Errc::invalid_argument for another shell.
[[nodiscard]] Result<std::string>
completion_script(const CommandTree& root, const std::string& shell);

} // namespace rbee::cli
