#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/settings_table.hpp"
#include "rbee/queen/options.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::queen {

/// One setting of queen-rbee and what its text does. The text of a list has ',' between the values.
struct OptionRow {
    config::Setting setting;
    /// Fails with Errc::invalid_argument, naming the flag.
    std::function<Result<void>(Options&, std::string_view flag, const std::string& text)> apply;
};

/// All of them, in the order of --help.
[[nodiscard]] const std::vector<OptionRow>& option_rows();
/// What they are, without what they do.
[[nodiscard]] const std::vector<config::Setting>& settings();
/// The settings of requests' deadlines, which single models may have of their own.
[[nodiscard]] const std::vector<OptionRow>& deadline_rows();

/// Puts `text` into the options, as the flag of that setting would.
[[nodiscard]] Result<void> apply(const OptionRow& row, Options& options, const std::string& text);

} // namespace rbee::queen
