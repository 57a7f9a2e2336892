#pragma once

#include "rbee/base/result.hpp"

#include <string_view>

struct sqlite3;

namespace rbee::store::detail {

/// The last failure of `database` as an Error.
[[nodiscard]] Error error_from(sqlite3* database, std::string_view doing);

} // namespace rbee::store::detail
