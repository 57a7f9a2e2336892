#pragma once

#include <CLI/CLI.hpp>

namespace rbee::cli {

/// Checks of arguments, as CLI11 takes them. Each names what it wants in its message.
[[nodiscard]] CLI::Validator model_ref();
/// What a worker can be started with: see domain::parse_spawn_ref.
[[nodiscard]] CLI::Validator spawn_ref();
[[nodiscard]] CLI::Validator node_name();
/// Base URL of one of our programs.
[[nodiscard]] CLI::Validator base_url();
/// 0 or 1024-65535.
[[nodiscard]] CLI::Validator port();
[[nodiscard]] CLI::Validator worker_id();
[[nodiscard]] CLI::Validator token_name();
/// A list of scopes such as "infer,models".
[[nodiscard]] CLI::Validator scopes();
/// See parse_lifetime().
[[nodiscard]] CLI::Validator lifetime();

} // namespace rbee::cli
