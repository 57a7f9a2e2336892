#pragma once

#include "rbee/config/paths.hpp"
#include "rbee/hive/settings.hpp"

#include <optional>
#include <string>
#include <vector>

namespace rbee::hive {

/// What the process knows of itself.
struct Surroundings {
    config::Environment environment;
    std::vector<std::string> environment_list; ///< All of it, as "NAME=value".
    std::string program_path;                  ///< Of this executable, to find its sibling.
    std::string host_name;
    bool stderr_is_terminal = false;
    Secret token = {}; ///< What LLORCH_API_TOKEN held, see auth::take_from_environment().
};

/// What a command line asks for: to run, or to print something and leave.
struct CommandLine {
    std::optional<Settings> settings;
    int exit_code = 0;
    std::string text; ///< For standard output when exit_code is 0, else for standard error.
    bool validate_only = false; ///< Nothing shall be started with the settings.
};

/// Reads the arguments (without the program's name), the environment and the configuration file;
/// the first that names a setting wins, in that order. Loads the token and checks the bind policy
/// (behaviour.md 8.3): only loopback may do without one.
[[nodiscard]] CommandLine
parse_command_line(const std::vector<std::string>& arguments, const Surroundings& around);

/// The settings of a hive that runs already, read again from the same sources; without tokens, the
/// queen that was joined, and descriptors, all of which it keeps. Fails with what is wrong.
[[nodiscard]] Result<Settings>
read_settings_again(const std::vector<std::string>& arguments, const Surroundings& around);

/// `name` with everything that a node name must not hold replaced by '-', or "localhost".
[[nodiscard]] std::string safe_node_name(std::string_view name);

/// The environment that workers get: all of `list` without this program's secrets.
[[nodiscard]] std::vector<std::string> worker_environment(const std::vector<std::string>& list);

} // namespace rbee::hive
