#pragma once

#include "rbee/cli/console.hpp"
#include "rbee/cli/environment.hpp"

#include <iosfwd>
#include <string>
#include <vector>

namespace rbee::cli {

/// Runs the program `rbee`: parses, does the command, shows errors. Returns the exit code: 0
/// success, 1 error, 130 after Ctrl+C. `input` is the standard input.
[[nodiscard]] int run_program(
    std::vector<std::string> arguments,
    Environment environment,
    Console& console,
    std::istream& input
);

} // namespace rbee::cli
