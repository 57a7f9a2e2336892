#pragma once

#include "rbee/base/result.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace rbee::config {

/// A TOML file as typed values under dotted names, such as "server.port". Tables in an array are
/// "node[0].name". Remembers which names were asked for, so that a misspelt one does not go unseen.
/// Every error is Errc::invalid_argument unless told otherwise and names file, line and field. Not
/// thread-safe.
class TomlFile {
public:
    /// Larger files are refused.
    static constexpr std::size_t bytes_max = 1024UL * 1024;

    /// Errc::not_found, Errc::io or Errc::too_large for the file, Errc::invalid_argument for what
    /// is in it.
    [[nodiscard]] static Result<TomlFile> load(const std::string& path);
    /// The same from text; `name` stands in errors.
    [[nodiscard]] static Result<TomlFile> parse(std::string_view text, std::string name);

    /// The value, nothing when it is not in the file, or an error for another type or a number
    /// that does not fit. T: std::string, bool, double, integers, std::vector<std::string>.
    template <typename T>
    [[nodiscard]] Result<std::optional<T>> get(std::string_view field);

    /// How many tables the array `name` has.
    [[nodiscard]] std::size_t count(std::string_view name) const;

    /// Names that begin with `prefix`, for tables whose names the file may choose; in alphabetical
    /// order. Those that get() is never asked for are unknown() still.
    [[nodiscard]] std::vector<std::string> names_under(std::string_view prefix) const;

    /// Where `name` stands; 0 when it is not in the file.
    [[nodiscard]] unsigned line(std::string_view name) const;

    /// Names in the file that get() never asked for, in alphabetical order. Call it last.
    [[nodiscard]] std::vector<std::string> unknown() const;
    /// An error that names unknown(), if there are any.
    [[nodiscard]] Result<void> check_unknown() const;

    [[nodiscard]] const std::string& name() const { return name_; }

private:
    using Texts = std::vector<std::string>;
    /// monostate: a type that no setting has, such as a date.
    using Value = std::variant<std::monostate, std::string, std::int64_t, double, bool, Texts>;
    struct Entry {
        Value value;
        unsigned line = 0;
    };
    struct Reader;

    explicit TomlFile(std::string name) : name_(std::move(name)) {}
    [[nodiscard]] const Entry* find(std::string_view field);
    [[nodiscard]] std::unexpected<Error>
    wrong(const Entry& entry, std::string_view field, std::string_view expected) const;
    template <typename T>
    [[nodiscard]] Result<std::optional<T>> exact(std::string_view field, std::string_view expected);

    std::string name_;
    std::map<std::string, Entry, std::less<>> entries_;
    std::map<std::string, std::size_t, std::less<>> counts_;
    std::set<std::string, std::less<>> asked_;
};

template <typename T>
Result<std::optional<T>> TomlFile::exact(std::string_view field, std::string_view expected) {
    const Entry* entry = find(field);
    if (entry == nullptr) {
        return std::optional<T>();
    }
    if (const T* value = std::get_if<T>(&entry->value)) {
        return std::optional<T>(*value);
    }
    return wrong(*entry, field, expected);
}

template <typename T>
Result<std::optional<T>> TomlFile::get(std::string_view field) {
    if constexpr (std::same_as<T, bool>) {
        return exact<bool>(field, "true or false");
    } else if constexpr (std::same_as<T, std::string>) {
        return exact<std::string>(field, "a string");
    } else if constexpr (std::same_as<T, Texts>) {
        return exact<Texts>(field, "an array of strings");
    } else if constexpr (std::floating_point<T>) {
        const Entry* entry = find(field);
        if (const auto* whole =
                entry != nullptr ? std::get_if<std::int64_t>(&entry->value) : nullptr) {
            return std::optional<T>(static_cast<T>(*whole));
        }
        return exact<T>(field, "a number");
    } else {
        static_assert(std::integral<T>);
        const auto value = exact<std::int64_t>(field, "an integer");
        if (!value) {
            return error_of(value);
        }
        const std::optional<std::int64_t> number = *value;
        if (!number) {
            return std::optional<T>();
        }
        if (!std::in_range<T>(*number)) {
            return wrong(
                *find(field),
                field,
                "between " + std::to_string(std::numeric_limits<T>::min()) + " and " +
                    std::to_string(std::numeric_limits<T>::max())
            );
        }
        return std::optional<T>(static_cast<T>(*number));
    }
}

} // namespace rbee::config
