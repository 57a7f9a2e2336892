#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/live_config.hpp"
#include "rbee/config/paths.hpp"
#include "rbee/config/settings_table.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace rbee::config {

/// Who asks for settings, and what its command line says.
struct LoadQuery {
    std::string_view program;    ///< Such as "queen", see find_config().
    std::string file;            ///< What --config names, or empty.
    SettingSources sources = {}; ///< Without the file.
};

/// Reads what the file has beyond the table of settings.
using ReadMore = std::function<Result<void>(TomlFile& file)>;

/// Reads flags, environment and the file of the program. Fails for a file that was named and cannot
/// be read, for values of wrong types and for names in the file that nobody asked for.
[[nodiscard]] Result<Loaded>
load_settings(std::span<const Setting> rows, LoadQuery query, const ReadMore& more = nullptr);

} // namespace rbee::config
