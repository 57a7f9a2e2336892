#include "rbee/engine/client_fields.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
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

/// Parts of a message whose texts llama.cpp may read as URLs.
constexpr std::string_view media_types[] = {
    "image",
    "image_url",
    "input_image",
    "input_audio",
    "input_video",
    "video_url",
};

/// As llama.cpp tells a URL from base64: by how it begins. Base64 has no colon.
bool names_a_place(std::string_view text) {
    const std::string_view scheme = text.substr(0, std::min<std::size_t>(text.find(':'), 16));
    return scheme.size() < text.size() && text[scheme.size()] == ':' && scheme != "data";
}

bool is_media(const common_json& part) {
    if (!part.is_object() || !part.contains("type") || !part.at("type").is_string()) {
        return false;
    }
    const auto type = part.at("type").get<std::string>();
    return std::ranges::find(media_types, type) != std::end(media_types);
}

/// Looks through all that is inside of `value`; `in_media`: inside of such a part.
void refuse_places(const common_json& value, bool in_media) {
    if (in_media && value.is_string()) {
        const auto text = value.get<std::string>();
        if (text.starts_with("http") || names_a_place(text)) {
            throw std::invalid_argument(
                "images, audio and video must come inside of the request, as data: URLs; this "
                "service fetches none"
            );
        }
    }
    if (value.is_array() || value.is_object()) {
        const bool media = in_media || is_media(value);
        for (const common_json& inner : value) {
            refuse_places(inner, media);
        }
    }
}

} // namespace

void refuse_remote_media(const common_json& body) {
    for (const char* conversation : {"messages", "input", "system"}) {
        if (body.is_object() && body.contains(conversation)) {
            refuse_places(body.at(conversation), false);
        }
    }
}

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

common_json parse_body(const std::string& body) {
    common_json parsed = common_json::parse_no_throw(body);
    if (parsed.is_discarded()) {
        throw std::invalid_argument("the body is not valid JSON"); // theirs quotes the body
    }
    return parsed;
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
