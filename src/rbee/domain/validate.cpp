#include "rbee/domain/validate.hpp"

#include "rbee/base/text.hpp"
#include "rbee/domain/text_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace rbee::domain {
namespace {

constexpr std::size_t id_bytes_max = 64;
constexpr std::size_t path_bytes_max = 512;
constexpr std::uint64_t port_min = 1024;
constexpr std::uint64_t port_max = 65535;

bool alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// What a field is called, on the wire and in sentences.
struct Name {
    std::string_view field;
    std::string_view subject;
};
constexpr Name worker_id{"worker_id", "worker ID"};
constexpr Name node_name{"node", "node name"};
constexpr Name model_path{"model_path", "path"};

std::unexpected<Error> refuse(Name name, std::string_view constraint, std::string_view why) {
    return std::unexpected(
        field_error(name.field, constraint, fmt::format("Invalid {}: {}", name.subject, why))
    );
}

std::string_view shell_complaint(std::string_view text) {
    if (text.contains('`')) {
        return "contains backticks";
    }
    if (text.contains('|')) {
        return "contains pipe characters";
    }
    if (text.find_first_of(";&$<>(){}") != std::string_view::npos) {
        return "contains shell metacharacters";
    }
    return {};
}

/// Rules that ids of all kinds share. Empty when the text keeps them.
Result<void> check_id(Name name, std::string_view text) {
    if (text.empty()) {
        return refuse(name, "required", "must not be empty");
    }
    if (text.size() > id_bytes_max) {
        return refuse(name, "max_length(64)", "exceeds maximum length of 64 characters");
    }
    if (const auto harm = sanitize(text); !harm) {
        return refuse(name, "characters", describe(harm.error()));
    }
    if (const auto wrong = shell_complaint(text); !wrong.empty()) {
        return refuse(name, "characters", wrong);
    }
    return {};
}

} // namespace

Error field_error(std::string_view field, std::string_view constraint, std::string message) {
    FieldError detail{std::string(field), std::string(constraint), message};
    return {Errc::invalid_argument, std::move(message), {}, {std::move(detail)}};
}

Error in_field(Error error, std::string_view field) {
    if (error.fields.empty()) {
        error.fields.push_back({.field = {}, .constraint = "format", .message = error.what});
    }
    for (FieldError& detail : error.fields) {
        detail.field = field;
    }
    return error;
}

Result<void> check_worker_id(std::string_view id) {
    if (const auto good = check_id(worker_id, id); !good) {
        return good;
    }
    if (!std::ranges::all_of(id, [](char c) { return alphanumeric(c) || c == '-'; })) {
        return refuse(worker_id, "characters", "only alphanumeric and dash allowed");
    }
    return {};
}

Result<void> check_node_name(std::string_view name) {
    if (const auto good = check_id(node_name, name); !good) {
        return good;
    }
    const bool characters =
        std::ranges::all_of(name, [](char c) { return alphanumeric(c) || c == '-' || c == '.'; });
    const bool ends = alphanumeric(name.front()) && alphanumeric(name.back());
    if (!characters || !ends || name.contains("..")) {
        return refuse(node_name, "characters", "only letters, digits, dots and dashes allowed");
    }
    return {};
}

Result<void> check_backend(std::string_view backend) {
    static constexpr std::array<std::string_view, 3> known = {"cpu", "cuda", "metal"};
    if (std::ranges::find(known, backend) == known.end()) {
        return refuse(
            {"backend", "backend"}, "one_of(cpu,cuda,metal)", "must be one of [cpu, cuda, metal]"
        );
    }
    return {};
}

Result<void> check_port(std::uint64_t port) {
    if (port != 0 && (port < port_min || port > port_max)) {
        return refuse(
            {"port", "port"}, "range(1024..=65535)", "must be from 1024 to 65535, or 0 for any"
        );
    }
    return {};
}

Result<void> check_relative_path(std::string_view path) {
    constexpr std::string_view punctuation = "._+=@ /-";
    if (path.empty()) {
        return refuse(model_path, "required", "must not be empty");
    }
    if (path.size() > path_bytes_max) {
        return refuse(model_path, "max_length(512)", "exceeds maximum length of 512 characters");
    }
    if (const auto harm = sanitize(path); !harm) {
        return refuse(model_path, "characters", describe(harm.error()));
    }
    const auto parts = split(path, '/');
    const auto is_dots = [](std::string_view part) { return part == "." || part == ".."; };
    if (std::ranges::any_of(parts, is_dots) || path.contains("..\\")) {
        return refuse(model_path, "no_traversal", "path traversal detected");
    }
    const bool drive = path.size() > 1 && path[1] == ':';
    if (path.starts_with('/') || path.starts_with('\\') || path.starts_with('~') || drive) {
        return refuse(model_path, "relative", "absolute paths not allowed");
    }
    if (!std::ranges::all_of(path, [=](char c) {
            return alphanumeric(c) || punctuation.contains(c);
        })) {
        return refuse(model_path, "characters", "contains special characters");
    }
    return {};
}

Result<void> check_text(std::string_view field, std::string_view text, TextRule rule) {
    const auto broken = [field](std::string_view constraint, std::string_view why) {
        return std::unexpected(field_error(field, constraint, fmt::format("{} {}", field, why)));
    };
    if (text.empty() && !rule.empty) {
        return broken("required", "is required");
    }
    if (text.size() > rule.bytes_max) {
        return broken(
            fmt::format("max_length({})", rule.bytes_max),
            fmt::format("exceeds maximum length of {} characters", rule.bytes_max)
        );
    }
    if (const auto harm = sanitize(text); !harm) {
        return broken("characters", describe(harm.error()));
    }
    if (!rule.lines && text.find_first_of("\t\r\n") != std::string_view::npos) {
        return broken("characters", "contains newline characters or tabs");
    }
    return {};
}

std::string harmless(std::string_view text, std::size_t bytes_max) {
    std::string out;
    for (std::string_view rest = text; !rest.empty() && out.size() < bytes_max;) {
        // One character of UTF-8 at a time; stray continuation bytes count as one each.
        std::size_t length = 1;
        while (length < rest.size() && length < 4 &&
               (static_cast<unsigned char>(rest[length]) & 0xC0U) == 0x80U) {
            ++length;
        }
        const std::string_view character = rest.substr(0, length);
        rest.remove_prefix(length);
        const bool layout = character.find_first_of("\t\r\n") != std::string_view::npos;
        const bool shown = sanitize(character).has_value() && !layout;
        if (!shown) {
            out += ' ';
        } else if (out.size() + length <= bytes_max) {
            out += character;
        } else {
            break;
        }
    }
    return out;
}

} // namespace rbee::domain
