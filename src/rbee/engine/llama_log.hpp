#pragma once

#include <string>

namespace rbee::engine {

/// Sends what llama.cpp logs to standard error, warnings and errors only, and remembers the last
/// errors for llama_errors(). Process-wide; call before anything else of llama.cpp.
void route_llama_log();

/// Forgets the remembered errors.
void clear_llama_errors();

/// The remembered errors in one line, the first (most specific) one in front; empty when none.
[[nodiscard]] std::string llama_errors();

} // namespace rbee::engine
