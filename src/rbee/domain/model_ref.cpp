#include "rbee/domain/model_ref.hpp"

#include "rbee/base/text.hpp"
#include "rbee/domain/text_rules.hpp"
#include "rbee/domain/validate.hpp"

#include <algorithm>
#include <utility>

namespace rbee::domain {
namespace {

std::unexpected<Error> refuse(std::string_view why, std::string_view constraint = "format") {
    const std::string message =
        "Invalid model reference" + std::string(why) +
        "; expected file:/path/to/model.gguf, hf:org/repo, or the name of an installed model";
    Error error = field_error("model_ref", constraint, message);
    error.wire_code = "INVALID_MODEL_REF";
    return std::unexpected(std::move(error));
}

/// What may follow hf: - org/repo[@revision][::file=path].
bool is_hub_reference(std::string_view text) {
    constexpr std::string_view file_mark = "::file=";
    if (const auto file = text.find(file_mark); file != std::string_view::npos) {
        const std::string_view path = text.substr(file + file_mark.size());
        if (path.empty() || path.starts_with('/') || path.contains(':')) {
            return false;
        }
        text = text.substr(0, file);
    }
    if (const auto at = text.find('@'); at != std::string_view::npos) {
        const std::string_view revision = text.substr(at + 1);
        if (revision.empty() || revision.find_first_of("@:=") != std::string_view::npos) {
            return false;
        }
        text = text.substr(0, at);
    }
    const auto slash = text.find('/');
    return slash != std::string_view::npos && slash != 0 && slash + 1 != text.size() &&
           text.find('/', slash + 1) == std::string_view::npos &&
           text.find_first_of(":=+") == std::string_view::npos;
}

/// What is wrong with the first offending character, or nothing.
std::string_view complaint(std::string_view text) {
    constexpr std::string_view punctuation = "-_/:.@=+";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\n' || c == '\r') {
            return "contains newline characters";
        }
        if (c == '\0') {
            return "contains null bytes";
        }
        if (c == '\x1b') {
            return "contains ANSI escape codes";
        }
        if (byte >= 0x80) {
            return "non-ASCII characters not allowed";
        }
        if (byte < 0x20 || byte == 0x7f) {
            return "contains control characters";
        }
        if (c == '<' || c == '>') {
            return "contains HTML/script tags";
        }
        if (c == ';' || c == '|' || c == '&' || c == '$' || c == '`') {
            return "contains shell metacharacters";
        }
        const bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && !punctuation.contains(c)) {
            return "contains special characters";
        }
    }
    return {};
}

bool has_dot_segment(std::string_view path) {
    return std::ranges::any_of(split(path, '/'), [](std::string_view part) {
        return part == "." || part == "..";
    });
}

} // namespace

std::string ModelRef::to_string() const {
    switch (provider) {
    case Provider::file:
        return "file:" + reference;
    case Provider::hub:
        return "hf:" + reference;
    case Provider::name:
        break;
    }
    return reference;
}

std::string ModelRef::model_name() const {
    if (provider == Provider::name) {
        return reference;
    }
    std::string_view name = reference;
    if (provider == Provider::hub) {
        name = name.substr(0, name.find_first_of("@:")); // a revision, a file
    }
    if (const auto slash = name.rfind('/'); slash != std::string_view::npos) {
        name.remove_prefix(slash + 1);
    }
    if (name.ends_with(".gguf")) {
        name.remove_suffix(5);
    }
    return std::string(name);
}

Result<ModelRef> parse_model_ref(std::string_view text) {
    if (text.empty()) {
        return refuse(": it is empty", "required");
    }
    if (text.size() > model_ref_bytes_max) {
        return refuse(": it is longer than 512 characters", "max_length(512)");
    }
    if (const auto wrong = complaint(text); !wrong.empty()) {
        return refuse(": " + std::string(wrong), "characters");
    }
    if (has_dot_segment(
            text.substr(text.find(':') == std::string_view::npos ? 0 : text.find(':') + 1)
        )) {
        return refuse(": path traversal detected", "no_traversal");
    }
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
        if (text.starts_with('/') || text.ends_with('/')) {
            return refuse(": a name must not begin or end with '/'; write a path as file:/path");
        }
        return ModelRef{ModelRef::Provider::name, std::string(text)};
    }
    const std::string_view scheme = text.substr(0, colon);
    std::string_view rest = text.substr(colon + 1);
    if (scheme == "file") {
        if (rest.starts_with("///")) {
            rest.remove_prefix(2);
        }
        if (!rest.starts_with('/') || rest.starts_with("//")) {
            return refuse(": file: needs an absolute path");
        }
        return ModelRef{ModelRef::Provider::file, std::string(rest)};
    }
    if (scheme == "hf") {
        if (!is_hub_reference(rest)) {
            return refuse(": hf: needs org/repo, with @revision and ::file=name where wanted");
        }
        return ModelRef{ModelRef::Provider::hub, std::string(rest)};
    }
    return refuse(" format: its scheme is unknown");
}

Result<ModelRef> parse_spawn_ref(std::string_view text) {
    auto ref = parse_model_ref(text);
    if (ref && ref->provider == ModelRef::Provider::name && ref->reference.contains('/')) {
        return refuse(" format: it has no scheme, such as hf: for org/repo", "scheme");
    }
    return ref;
}

} // namespace rbee::domain
