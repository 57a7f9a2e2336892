#pragma once

#include <string_view>

#include "json.h"

namespace rbee::engine {

/// Makes a parsed body from a client harmless before llama.cpp sees it: drops the fields that
/// llama.cpp uses between its own parts without checks, and bounds the ones that allocate.
/// Throws std::invalid_argument for what would stop the process.
void restrict_client_fields(common_json& body, int context_tokens);

/// True when `body` nests so deep that recursive code of the JSON library could overflow its stack.
[[nodiscard]] bool nests_too_deep(std::string_view body);

} // namespace rbee::engine
