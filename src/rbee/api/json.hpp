#pragma once

#include "rbee/base/result.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::api {

/// Parses a JSON text (RFC 8259) that must be an object. Depth is bounded. Fails with
/// Errc::invalid_argument, naming the position and never the content.
[[nodiscard]] Result<boost::json::object> parse_object(std::string_view text);

/// Typed access to members. A missing or null member gives nullopt; a member of another type fails
/// with Errc::invalid_argument and names the field and the expected type.
[[nodiscard]] Result<std::optional<std::string>>
get_string(const boost::json::object& object, std::string_view field);
[[nodiscard]] Result<std::optional<std::uint64_t>>
get_unsigned(const boost::json::object& object, std::string_view field);
[[nodiscard]] Result<std::optional<double>>
get_number(const boost::json::object& object, std::string_view field);
[[nodiscard]] Result<std::optional<bool>>
get_bool(const boost::json::object& object, std::string_view field);

/// The same for members that must be there.
[[nodiscard]] Result<std::string>
require_string(const boost::json::object& object, std::string_view field);

} // namespace rbee::api
