#pragma once

#include "rbee/base/result.hpp"
#include "rbee/cli/generation.hpp"
#include "rbee/cli/options.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::cli {

/// Adds the sampling members that were given, in the words of the OpenAI API, which our own
/// dialect shares.
void add_sampling(boost::json::object& body, const SamplingOptions& sampling);

/// Writes what there is of an answer to a new file "rbee-partial-XXXXXX.txt" (mode 0600) in
/// `folder` and returns its path.
[[nodiscard]] Result<std::string> save_partial(const std::string& folder, std::string_view text);

/// {"model","text","finish_reason","usage","request_id","duration_ms"}.
[[nodiscard]] boost::json::object to_json(const GenerationResult& result, const std::string& model);

/// How many tokens came, "12 / 256 tokens"; without a maximum "12 tokens".
[[nodiscard]] std::string
token_count(const GenerationResult& result, std::optional<std::uint32_t> max_tokens);

} // namespace rbee::cli
