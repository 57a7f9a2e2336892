#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::cli {

/// Lenient reading of answers that are only shown: a member that is missing or of another type
/// reads as absent, so that an older or newer queen still gets a readable table.
[[nodiscard]] std::string text_of(const boost::json::object& object, std::string_view field);
[[nodiscard]] std::optional<std::uint64_t>
number_of(const boost::json::object& object, std::string_view field);
[[nodiscard]] double real_of(const boost::json::object& object, std::string_view field);
/// Null when there is none.
[[nodiscard]] const boost::json::object*
object_of(const boost::json::object& object, std::string_view field);
/// The objects of an array member; the first of `fields` that is an array wins.
[[nodiscard]] std::vector<boost::json::object>
list_of(const boost::json::object& object, const std::vector<std::string_view>& fields);
/// The first of `fields` that is not empty text.
[[nodiscard]] std::string
first_text(const boost::json::object& object, const std::vector<std::string_view>& fields);

} // namespace rbee::cli
