#pragma once

#include <array>

namespace rbee::api {

/// Paths of POST requests that a worker answers and that queen and hive pass on to one
/// (behaviour.md 2.1 and 5.3).
inline constexpr std::array inference_paths = {
    "/v1/inference",
    "/infer",
    "/execute",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/v1/rerank",
    "/tokenize",
    "/detokenize",
    "/apply-template",
    "/infill",
};

} // namespace rbee::api
