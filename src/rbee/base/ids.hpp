#pragma once

#include <string>
#include <string_view>

namespace rbee {

/// A random UUID version 4 (RFC 9562), lower case, 36 characters. Thread-safe.
[[nodiscard]] std::string make_uuid();

/// True for 8-4-4-4-12 hexadecimal digits in any case.
[[nodiscard]] bool is_uuid(std::string_view text);

} // namespace rbee
