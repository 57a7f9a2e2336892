#pragma once

#include "rbee/base/result.hpp"
#include "rbee/hive/option_values.hpp"
#include "rbee/hive/options.hpp"
#include "rbee/hive/settings.hpp"

#include <optional>

namespace rbee::hive {

/// What the command line says of tokens beyond OptionValues.
struct TokenArguments {
    bool file_flag = false; ///< --token-file stands there, so it wins over other sources.
    std::optional<int> token_fd;
    std::optional<int> queen_token_fd; ///< Its token is only between this hive and its queen.
};

/// Loads the tokens of a hive and checks the bind policy (behaviour.md 8.3), which needs everything
/// else in `settings`.
[[nodiscard]] Result<void> fill_tokens(
    const OptionValues& values,
    const TokenArguments& arguments,
    const Surroundings& around,
    Settings& settings
);

} // namespace rbee::hive
