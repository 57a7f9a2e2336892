#include "rbee/cli/json_view.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

namespace rbee::cli {

namespace json = boost::json;

std::string text_of(const json::object& object, std::string_view field) {
    const json::value* value = object.if_contains(field);
    return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                  : std::string();
}

std::optional<std::uint64_t> number_of(const json::object& object, std::string_view field) {
    const json::value* value = object.if_contains(field);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (value->is_uint64()) {
        return value->get_uint64();
    }
    if (value->is_int64() && value->get_int64() >= 0) {
        return static_cast<std::uint64_t>(value->get_int64());
    }
    return std::nullopt;
}

double real_of(const json::object& object, std::string_view field) {
    const json::value* value = object.if_contains(field);
    if (value != nullptr && value->is_double()) {
        return value->get_double();
    }
    return static_cast<double>(number_of(object, field).value_or(0));
}

const json::object* object_of(const json::object& object, std::string_view field) {
    const json::value* value = object.if_contains(field);
    return value != nullptr ? value->if_object() : nullptr;
}

std::vector<json::object>
list_of(const json::object& object, const std::vector<std::string_view>& fields) {
    std::vector<json::object> out;
    for (const std::string_view field : fields) {
        const json::value* value = object.if_contains(field);
        if (value == nullptr || !value->is_array()) {
            continue;
        }
        for (const json::value& item : value->get_array()) {
            if (item.is_object()) {
                out.push_back(item.get_object());
            }
        }
        break;
    }
    return out;
}

std::string first_text(const json::object& object, const std::vector<std::string_view>& fields) {
    for (const std::string_view field : fields) {
        if (std::string text = text_of(object, field); !text.empty()) {
            return text;
        }
    }
    return {};
}

} // namespace rbee::cli
