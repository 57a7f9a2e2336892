#include "rbee/api/field_reader.hpp"

#include "rbee/base/clock.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/http/url.hpp"

#include <algorithm>
#include <iterator>

namespace rbee::api {
namespace {

constexpr std::size_t url_bytes_max = 512;
constexpr std::size_t prose_bytes_max = 2048;
/// More wrong fields than this are not listed.
constexpr std::size_t errors_max = 32;

Result<void> check_url(std::string_view text) {
    const domain::TextRule rule{.bytes_max = url_bytes_max};
    if (const auto good = domain::check_text("the URL", text, rule); !good) {
        return good;
    }
    const auto endpoint = http::parse_endpoint(text);
    return endpoint ? Result<void>() : Result<void>(error_of(endpoint));
}

Result<void> check_time(std::string_view text) {
    if (parse_rfc3339(text)) {
        return {};
    }
    return std::unexpected(domain::field_error("", "rfc3339", "must be a time as in RFC 3339"));
}

} // namespace

void FieldReader::text(std::string_view field, std::string& into, domain::TextRule rule) {
    checked(
        field,
        into,
        [&](std::string_view value) { return domain::check_text(field, value, rule); },
        rule.empty ? optional : required
    );
}

void FieldReader::prose(std::string_view field, std::string& into) {
    if (const auto value = given(field, optional)) {
        into = domain::harmless(*value, prose_bytes_max);
    }
}

void FieldReader::url(std::string_view field, std::string& into, Presence presence) {
    checked(
        field,
        into,
        [&](std::string_view value) -> Result<void> {
            const auto good = check_url(value);
            return good ? good : Result<void>(std::unexpected(good.error().within(field)));
        },
        presence
    );
}

void FieldReader::model_ref(std::string_view field, std::string& into) {
    const auto value = given(field, required);
    if (!value) {
        return;
    }
    const auto ref = domain::parse_spawn_ref(*value);
    if (!ref) {
        note(domain::in_field(ref.error(), field));
        return;
    }
    into = ref->to_string();
}

void FieldReader::time(std::string_view field, std::string& into) {
    checked(field, into, [&](std::string_view value) -> Result<void> {
        const auto good = check_time(value);
        return good ? good : Result<void>(std::unexpected(good.error().within(field)));
    });
}

void FieldReader::optional_time(std::string_view field, std::optional<std::string>& into) {
    std::string value;
    time(field, value);
    into = value.empty() ? std::nullopt : std::optional(std::move(value));
}

void FieldReader::state(std::string_view field, domain::WorkerState& into) {
    const auto value = given(field, optional);
    if (!value) {
        return;
    }
    if (const auto state = domain::parse_worker_state(*value)) {
        into = *state;
    } else {
        note(domain::field_error(
            field, "one_of(worker states)", fmt::format("{} is not a worker state", field)
        ));
    }
}

void FieldReader::boolean(std::string_view field, bool& into) {
    if (const auto value = take(get_bool(object_, field))) {
        into = *value;
    }
}

void FieldReader::fraction(std::string_view field, double& into) {
    const auto value = take(get_number(object_, field));
    if (!value) {
        return;
    }
    if (*value >= 0.0 && *value <= 1.0) {
        into = *value;
    } else {
        note(domain::field_error(
            field, "range(0.0..=1.0)", fmt::format("{} must be between 0.0 and 1.0", field)
        ));
    }
}

std::optional<std::string> FieldReader::given(std::string_view field, Presence presence) {
    auto value = get_string(object_, field);
    if (!value) {
        note(value.error());
        return std::nullopt;
    }
    std::optional<std::string> text = std::move(*value);
    if (text && !text->empty()) {
        return text;
    }
    if (presence == required) {
        note(domain::field_error(field, "required", fmt::format("{} is required", field)));
    }
    return std::nullopt;
}

std::optional<std::uint64_t> FieldReader::whole(std::string_view field, WholeRange range) {
    const auto value = take(get_unsigned(object_, field));
    if (!value || (*value >= range.min && *value <= range.max)) {
        return value;
    }
    note(domain::field_error(
        field,
        fmt::format("range({}..={})", range.min, range.max),
        fmt::format("{} must be between {} and {}", field, range.min, range.max)
    ));
    return std::nullopt;
}

const boost::json::array* FieldReader::array(std::string_view field, std::size_t count_max) {
    const boost::json::value* value = object_.if_contains(field);
    if (value == nullptr || value->is_null()) {
        return nullptr;
    }
    if (!value->is_array()) {
        note(domain::field_error(field, "type(array)", fmt::format("{} must be an array", field)));
        return nullptr;
    }
    if (value->get_array().size() > count_max) {
        note(domain::field_error(
            field,
            fmt::format("max_count({})", count_max),
            fmt::format("{} must have at most {} elements", field, count_max)
        ));
        return nullptr;
    }
    return &value->get_array();
}

void FieldReader::note(Error error) {
    if (!error_) {
        error_ = std::move(error);
        return;
    }
    const std::size_t room = errors_max - std::min(errors_max, error_->fields.size());
    const auto count = static_cast<std::ptrdiff_t>(std::min(room, error.fields.size()));
    error_->fields.insert(
        error_->fields.end(),
        std::make_move_iterator(error.fields.begin()),
        std::make_move_iterator(error.fields.begin() + count)
    );
}

} // namespace rbee::api
