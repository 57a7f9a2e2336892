#pragma once

#include <string>
#include <string_view>

#include "json.h"

namespace rbee::engine {

/// Makes a parsed body from a client harmless before llama.cpp sees it: drops the fields that
/// llama.cpp uses between its own parts without checks, and bounds the ones that allocate.
/// Throws std::invalid_argument for what would stop the process.
void restrict_client_fields(common_json& body, int context_tokens);

/// Throws std::invalid_argument when the conversation in `body`, in any dialect, names an image,
/// audio or video that llama.cpp would fetch itself: over the network, or from a file of this
/// machine. What comes inside of the request ("data:" URLs, base64) is fine. The message does not
/// repeat the URL. `body` must not nest too deep.
void refuse_remote_media(const common_json& body);

/// Parses a body. Throws std::invalid_argument, whose message says where and never what.
[[nodiscard]] common_json parse_body(const std::string& body);

/// True when `body` nests so deep that recursive code of the JSON library could overflow its stack.
[[nodiscard]] bool nests_too_deep(std::string_view body);

} // namespace rbee::engine
