#pragma once

#include "rbee/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rbee::domain {

/// Checks of single fields (behaviour.md 10). Each fails with Errc::invalid_argument; messages name
/// the rule and never repeat the input.

/// 1-64 of [A-Za-z0-9-].
[[nodiscard]] Result<void> check_worker_id(std::string_view id);
/// 1-64 of [A-Za-z0-9.-], not beginning or ending with a dot or dash.
[[nodiscard]] Result<void> check_node_name(std::string_view name);
/// cpu, cuda or metal.
[[nodiscard]] Result<void> check_backend(std::string_view backend);

} // namespace rbee::domain
