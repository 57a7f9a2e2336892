#pragma once

#include "rbee/api/json.hpp"
#include "rbee/base/result.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/domain/worker_state.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::api {

/// Bounds of a whole number, both inside.
struct WholeRange {
    std::uint64_t min = 0;
    std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
};

/// Reads the members of an object one after the other and notes all that is wrong, so that a
/// contract with many fields reads as a list. Members that are null count as absent; what is absent
/// or wrong leaves its variable as it was. Keeps a reference to the object.
class FieldReader {
public:
    /// Whether a field may be absent. An empty text counts as absent.
    enum Presence : std::uint8_t { optional, required };

    explicit FieldReader(const boost::json::object& object) : object_(object) {}

    /// A text that `check`, a function of one string_view, must accept.
    template <typename Check>
    void
    checked(std::string_view field, std::string& into, Check check, Presence presence = optional) {
        auto value = given(field, presence);
        if (!value) {
            return;
        }
        if (const auto good = check(std::string_view(*value)); !good) {
            note(domain::in_field(good.error(), field));
            return;
        }
        into = std::move(*value);
    }
    void text(std::string_view field, std::string& into, domain::TextRule rule = {});
    /// Text for people, made harmless instead of refused.
    void prose(std::string_view field, std::string& into);
    /// A base URL of one of our programs.
    void url(std::string_view field, std::string& into, Presence presence = optional);
    /// What a worker is to be started with; stored in its canonical form.
    void model_ref(std::string_view field, std::string& into);
    /// RFC 3339.
    void time(std::string_view field, std::string& into);
    void optional_time(std::string_view field, std::optional<std::string>& into);
    void state(std::string_view field, domain::WorkerState& into);
    void boolean(std::string_view field, bool& into);
    /// 0 ... 1.
    void fraction(std::string_view field, double& into);

    template <typename Number>
    void number(std::string_view field, Number& into, WholeRange range = {}) {
        if (const auto value = whole(field, narrowed<Number>(range))) {
            into = static_cast<Number>(*value);
        }
    }
    template <typename Number>
    void
    optional_number(std::string_view field, std::optional<Number>& into, WholeRange range = {}) {
        if (const auto value = whole(field, narrowed<Number>(range))) {
            into = static_cast<Number>(*value);
        }
    }

    /// An array of at most `count_max` elements; `parse` takes one json::value.
    template <typename T, typename Parse>
    void list(std::string_view field, std::vector<T>& into, std::size_t count_max, Parse parse) {
        const boost::json::array* items = array(field, count_max);
        if (items == nullptr) {
            return;
        }
        for (std::size_t i = 0; i < items->size(); ++i) {
            auto parsed = parse((*items)[i]);
            if (parsed) {
                into.push_back(std::move(*parsed));
                continue;
            }
            Error error = parsed.error().within(field);
            for (FieldError& detail : error.fields) {
                detail.field = fmt::format(
                    "{}[{}]{}{}", field, i, detail.field.empty() ? "" : ".", detail.field
                );
            }
            note(std::move(error));
            return; // one bad element tells enough
        }
    }

    /// `value`, or what was wrong: the first message, all fields.
    template <typename T>
    Result<T> finish(T value) {
        if (error_) {
            return std::unexpected(std::move(*error_));
        }
        return value;
    }

private:
    template <typename Number>
    static WholeRange narrowed(WholeRange range) {
        const auto max = static_cast<std::uint64_t>(std::numeric_limits<Number>::max());
        return {.min = range.min, .max = std::min(range.max, max)};
    }
    template <typename T>
    std::optional<T> take(Result<std::optional<T>> value) {
        if (!value) {
            note(value.error());
            return std::nullopt;
        }
        return std::move(*value);
    }
    std::optional<std::string> given(std::string_view field, Presence presence);
    std::optional<std::uint64_t> whole(std::string_view field, WholeRange range);
    const boost::json::array* array(std::string_view field, std::size_t count_max);
    void note(Error error);

    const boost::json::object& object_;
    std::optional<Error> error_;
};

/// Adapts a parser of objects to the elements of FieldReader::list().
template <typename T>
auto each_object(Result<T> (*parse)(const boost::json::object&)) {
    return [parse](const boost::json::value& item) -> Result<T> {
        if (!item.is_object()) {
            return std::unexpected(domain::field_error("", "type(object)", "must be an object"));
        }
        return parse(item.get_object());
    };
}

} // namespace rbee::api
