#pragma once

#include "rbee/http/exchange.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace rbee::http {

/// Who may call a route.
enum class Access {
    open,          ///< Anybody.
    authenticated, ///< Whoever has a valid token: the default.
};

/// A table of routes. A pattern is a path whose `{name}` segments match any one segment; the values
/// are given to the handler in order. Filled at start-up, read-only afterwards.
class Router {
public:
    struct Route {
        std::string method;
        std::string pattern;
        Access access;
        Handler handler;
    };

    struct Match {
        const Route* route = nullptr;     ///< Null when nothing fits.
        std::vector<std::string> values;  ///< Percent-decoded `{name}` segments.
        std::vector<std::string> allowed; ///< Methods of this path when only the method differs.
    };

    void
    add(std::string method,
        std::string pattern,
        Handler handler,
        Access access = Access::authenticated);

    /// HEAD is answered by GET routes. A path that fits a literal segment wins over `{name}`.
    [[nodiscard]] Match find(std::string_view method, std::string_view path) const;
    [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

private:
    std::vector<Route> routes_;
};

} // namespace rbee::http
