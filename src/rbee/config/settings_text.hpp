#pragma once

#include "rbee/config/settings_table.hpp"

#include <span>
#include <string>
#include <string_view>

/// Settings tables as text for people.
namespace rbee::config {

/// Whose settings they are.
struct ProgramNames {
    std::string_view program; ///< "queen-rbee"
    std::string_view file;    ///< "queen", for queen.toml and RBEE_QUEEN_CONFIG.
};

/// A complete settings file (TOML) with every setting commented out at its default, what it means,
/// and its flag and variable. The settings of one TOML table stand together; `more` goes to the end
/// (without a line end, or empty).
[[nodiscard]] std::string
example_file(std::span<const Setting> rows, const ProgramNames& names, std::string_view more);

/// The same as a table in Markdown, one line for each setting.
[[nodiscard]] std::string settings_markdown(std::span<const Setting> rows);

/// What --print-config prints: "toml" is example_file(), "markdown" is settings_markdown().
/// Errc::invalid_argument for another form.
[[nodiscard]] Result<std::string> printed_settings(
    std::string_view form,
    std::span<const Setting> rows,
    const ProgramNames& names,
    std::string_view more = {}
);

/// The help of a setting without its default.
[[nodiscard]] std::string_view plain_help(const Setting& setting);

} // namespace rbee::config
