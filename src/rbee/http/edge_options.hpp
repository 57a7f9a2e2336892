#pragma once

#include "rbee/base/result.hpp"
#include "rbee/http/server.hpp"

#include <functional>
#include <string>
#include <vector>

namespace rbee::http {

/// One setting of the HTTP edge, the same in every program that has a command line for it.
struct EdgeSetting {
    const char* flag;     ///< "--http-idle-s"
    const char* variable; ///< Environment variable.
    const char* file_key; ///< In the settings file, such as "http.idle_s".
    const char* help;
    bool list; ///< May be repeated; else a number.
    /// Takes the text: a number, or the values of a list with ',' between them. Fails with
    /// Errc::invalid_argument, naming the flag.
    std::function<Result<void>(ServerOptions&, const std::string& text)> apply;
};

/// All of them, in the order of --help.
[[nodiscard]] const std::vector<EdgeSetting>& edge_settings();

} // namespace rbee::http
