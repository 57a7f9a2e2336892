#include "rbee/engine/client_fields.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "json.h"

namespace rbee::engine {
namespace {

constexpr int depth_max = 128;

/// Written by the chat template code for the sampler and the parser. From a client they reach
/// asserts, for example an unknown kind of grammar trigger.
constexpr const char* internal_fields[] = {
    "grammar_type",
    "grammar_lazy",
    "grammar_triggers",
    "preserved_tokens",
    "chat_format",
    "chat_parser",
    "generation_prompt",
    "message_delimiters",
    "reasoning_budget_start_tag",
    "reasoning_budget_end_tag",
    "reasoning_budget_end_tags",
    // Has its own asserts; the flag of the same name decides for all requests.
    "backend_sampling",
};

/// Become the size of a buffer; more than the context can hold has no meaning.
constexpr const char* history_fields[] = {"repeat_last_n", "dry_penalty_last_n"};

} // namespace

void restrict_client_fields(common_json& body, int context_tokens) {
    for (const char* name : internal_fields) {
        body.erase(name);
    }
    for (const char* name : history_fields) {
        if (!body.contains(name) || !body.at(name).is_number_integer()) {
            continue;
        }
        const auto value = body.at(name).get<std::int64_t>();
        body[name] = std::min<std::int64_t>(value, context_tokens);
    }
    if (body.contains("grammar") && body.at("grammar").is_string() &&
        body.at("grammar").get<std::string>().starts_with("%llguidance")) {
        // llama.cpp aborts where it was built without that library.
        throw std::invalid_argument("llguidance grammars are not supported");
    }
}

bool nests_too_deep(std::string_view body) {
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < body.size(); ++i) {
        const char c = body[i];
        if (in_string) {
            if (c == '\\') {
                ++i;
            }
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > depth_max) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return false;
}

} // namespace rbee::engine
