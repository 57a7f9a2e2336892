#include "rbee/api/route_fields.hpp"

#include "rbee/domain/keep_alive.hpp"
#include "rbee/domain/validate.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace rbee::api {
namespace {

namespace od = simdjson::ondemand;

constexpr std::size_t model_bytes_max = 512;
constexpr std::size_t job_id_bytes_max = 256;
constexpr std::int64_t tokens_max = 2'147'483'647;

/// How the dialects call the longest answer.
constexpr std::array<std::string_view, 4> token_counts = {
    "max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict"
};

std::unexpected<Error> refuse(std::string_view field, std::string_view rule, std::string message) {
    return std::unexpected(domain::field_error(field, rule, std::move(message)));
}

std::unexpected<Error> not_json() {
    return refuse("body", "json", "the body is not valid JSON");
}

Result<void>
read_text(od::value value, std::string_view field, std::size_t bytes_max, std::string& into) {
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) {
        return refuse(field, "type(string)", std::string(field) + " must be a string");
    }
    if (auto good = domain::check_text(field, text, {.bytes_max = bytes_max}); !good) {
        return good;
    }
    into = text;
    return {};
}

/// -1 means "no bound" to the engine.
Result<void> check_count(od::value value, std::string_view field) {
    std::int64_t count = 0;
    if (value.get_int64().get(count) != simdjson::SUCCESS) {
        return refuse(field, "type(integer)", std::string(field) + " must be a whole number");
    }
    if (count < -1 || count > tokens_max) {
        return refuse(
            field,
            "range(-1..=2147483647)",
            std::string(field) + " must be a number of tokens, or -1 for no bound"
        );
    }
    return {};
}

Result<void> read_deadline(od::value value, RouteFields& fields) {
    std::int64_t ms = 0;
    if (value.get_int64().get(ms) != simdjson::SUCCESS || ms < 0) {
        return refuse(
            "deadline_ms", "range(0..)", "deadline_ms must be a whole number of milliseconds"
        );
    }
    fields.deadline_ms = ms;
    return {};
}

/// A number of seconds, or a text such as "5m".
Result<void> read_keep_alive(od::value value, RouteFields& fields) {
    std::int64_t seconds = 0;
    std::string_view text;
    auto read = value.get_int64().get(seconds) == simdjson::SUCCESS ? domain::keep_alive_of(seconds)
                : value.get_string().get(text) == simdjson::SUCCESS ? domain::parse_keep_alive(text)
                                                                    : domain::parse_keep_alive("");
    if (!read) {
        return refuse("keep_alive", "duration", read.error().what);
    }
    fields.keep_alive = *read;
    return {};
}

/// Reads one member, or leaves it where it is.
Result<void> read_member(std::string_view name, od::value value, RouteFields& fields) {
    if (name == "model") {
        return read_text(value, name, model_bytes_max, fields.model);
    }
    if (name == "job_id") {
        return read_text(value, name, job_id_bytes_max, fields.job_id);
    }
    const bool is_deadline = name == "deadline_ms";
    const bool is_keep_alive = name == "keep_alive";
    const bool is_count = std::ranges::find(token_counts, name) != token_counts.end();
    if (name != "stream" && !is_deadline && !is_keep_alive && !is_count) {
        return {};
    }
    od::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) {
        return not_json();
    }
    if (type == od::json_type::null) {
        return {};
    }
    if (is_deadline) {
        return read_deadline(value, fields);
    }
    if (is_keep_alive) {
        return read_keep_alive(value, fields);
    }
    if (is_count) {
        return check_count(value, name);
    }
    if (value.get_bool().get(fields.stream) != simdjson::SUCCESS) {
        return refuse("stream", "type(boolean)", "stream must be true or false");
    }
    return {};
}

/// Whether a string of a JSON text holds a NUL, which only its escape can put there.
bool has_null_byte(std::string_view json) {
    constexpr std::string_view escape = "\\u0000";
    for (auto at = json.find(escape); at != std::string_view::npos;
         at = json.find(escape, at + escape.size())) {
        // Of an even number of backslashes the last is text.
        std::size_t before = 0;
        while (before < at && json[at - before - 1] == '\\') {
            ++before;
        }
        if (before % 2 == 0) {
            return true;
        }
    }
    return false;
}

} // namespace

Result<RouteFields> route_fields(std::string& body) {
    // The scanner reads past the end of the text, so it needs capacity there.
    body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
    static thread_local od::parser parser;
    od::document document;
    if (parser.iterate(body.data(), body.size(), body.capacity()).get(document) !=
        simdjson::SUCCESS) {
        return not_json();
    }
    od::object object;
    if (document.get_object().get(object) != simdjson::SUCCESS) {
        return refuse("body", "type(object)", "the body must be a JSON object");
    }
    RouteFields fields;
    for (auto member : object) {
        std::string_view name;
        if (member.unescaped_key().get(name) != simdjson::SUCCESS) {
            return not_json();
        }
        // `member.value()` is the on-demand value; reading it moves the cursor.
        if (auto read = read_member(name, member.value(), fields); !read) {
            return error_of(read);
        }
    }
    if (has_null_byte(body)) {
        return refuse("body", "characters", "the request contains null bytes");
    }
    return fields;
}

} // namespace rbee::api
