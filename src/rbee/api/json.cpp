#include "rbee/api/json.hpp"

#include "rbee/domain/validate.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/parser.hpp>
#include <boost/json/serialize.hpp>
#include <boost/system/error_code.hpp>
#include <fmt/format.h>

namespace rbee::api {

namespace json = boost::json;

namespace {

constexpr std::size_t depth_max = 64;

std::unexpected<Error>
wrong_type(std::string_view field, std::string_view type, std::string_view expected) {
    return std::unexpected(domain::field_error(
        field, fmt::format("type({})", type), fmt::format("{} must be {}", field, expected)
    ));
}

const json::value* find(const json::object& object, std::string_view field) {
    const json::value* value = object.if_contains(field);
    return value == nullptr || value->is_null() ? nullptr : value;
}

} // namespace

Result<json::object> parse_object(std::string_view text) {
    json::parse_options options;
    options.max_depth = depth_max;
    json::parser parser({}, options);
    boost::system::error_code error;
    const std::size_t used = parser.write(text, error);
    if (error) {
        return fail(
            Errc::invalid_argument,
            fmt::format("the body is not valid JSON: {} at byte {}", error.message(), used)
        );
    }
    json::value value = parser.release();
    if (!value.is_object()) {
        return fail(Errc::invalid_argument, "the body must be a JSON object");
    }
    return std::move(value.get_object());
}

Result<std::optional<std::string>> get_string(const json::object& object, std::string_view field) {
    const json::value* value = find(object, field);
    if (value == nullptr) {
        return std::optional<std::string>();
    }
    if (!value->is_string()) {
        return wrong_type(field, "string", "a string");
    }
    return std::optional<std::string>(value->get_string());
}

Result<std::optional<std::uint64_t>>
get_unsigned(const json::object& object, std::string_view field) {
    const json::value* value = find(object, field);
    if (value == nullptr) {
        return std::optional<std::uint64_t>();
    }
    if (value->is_uint64()) {
        return std::optional(value->get_uint64());
    }
    if (value->is_int64() && value->get_int64() >= 0) {
        return std::optional(static_cast<std::uint64_t>(value->get_int64()));
    }
    return wrong_type(field, "unsigned", "an integer of at least 0");
}

Result<std::optional<double>> get_number(const json::object& object, std::string_view field) {
    const json::value* value = find(object, field);
    if (value == nullptr) {
        return std::optional<double>();
    }
    if (!value->is_number()) {
        return wrong_type(field, "number", "a number");
    }
    return std::optional(value->to_number<double>());
}

Result<std::optional<bool>> get_bool(const json::object& object, std::string_view field) {
    const json::value* value = find(object, field);
    if (value == nullptr) {
        return std::optional<bool>();
    }
    if (!value->is_bool()) {
        return wrong_type(field, "boolean", "true or false");
    }
    return std::optional(value->get_bool());
}

Result<std::string> require_string(const json::object& object, std::string_view field) {
    auto value = get_string(object, field);
    if (!value) {
        return error_of(value);
    }
    std::optional<std::string> text = std::move(*value);
    if (!text || text->empty()) {
        return std::unexpected(
            domain::field_error(field, "required", fmt::format("{} is required", field))
        );
    }
    return std::move(*text);
}

} // namespace rbee::api
