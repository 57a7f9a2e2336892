#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/settings_table.hpp"
#include "rbee/http/server.hpp"

#include <functional>
#include <string>
#include <vector>

namespace rbee::http {

/// One setting of the HTTP edge, the same in every program that has a command line for it.
struct EdgeSetting {
    config::Setting setting;
    /// Takes the text: a number, or the values of a list with ',' between them. Fails with
    /// Errc::invalid_argument, naming the flag.
    std::function<Result<void>(ServerOptions&, const std::string& text)> apply;
};

/// All of them, in the order of --help.
[[nodiscard]] const std::vector<EdgeSetting>& edge_settings();

} // namespace rbee::http
