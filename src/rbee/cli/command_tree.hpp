#pragma once

#include <string>
#include <vector>

namespace rbee::cli {

/// One flag or option as the shell shows it.
struct OptionInfo {
    std::vector<std::string> names; ///< "-m", "--model".
    std::string description;
    bool takes_value = false;
    bool takes_file = false;          ///< The value is a path.
    std::vector<std::string> choices; ///< Fixed values, when there are some.
};

/// A command with what may follow it.
struct CommandTree {
    std::string name;
    std::string description;
    std::vector<OptionInfo> options;
    std::vector<std::string> positional_choices; ///< Fixed values of the first positional.
    std::vector<CommandTree> commands;
};

} // namespace rbee::cli
