#pragma once

#include "rbee/http/exchange.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::http {

/// The right that a route needs; api::Gate checks it against the scopes of the token. Changing one
/// from `open` to anything else protects it; nothing but `open` is ever served without a token.
enum class Access {
    open,    ///< None: anybody.
    any,     ///< Any valid token.
    infer,   ///< Inference.
    models,  ///< Lists and states of models, workers and nodes.
    metrics, ///< Figures.
    admin,   ///< What changes something or shows logs: the default.
    hive,    ///< What hives tell the queen.
    worker,  ///< What workers tell their hive.
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
    add(std::string method, std::string pattern, Handler handler, Access access = Access::admin);

    /// HEAD is answered by GET routes. A path that fits a literal segment wins over `{name}`.
    [[nodiscard]] Match find(std::string_view method, std::string_view path) const;
    [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

private:
    /// The segments of a pattern, and where among them are placeholders.
    struct Pattern {
        std::size_t route = 0;
        std::vector<std::string> segments;
    };
    void
    fit(std::size_t route, std::string_view wanted, std::vector<std::string> values, Match& best
    ) const;

    std::vector<Route> routes_;
    std::multimap<std::string, std::size_t, std::less<>> literal_; ///< Without placeholders.
    std::vector<Pattern> patterns_;                                ///< With placeholders.
};

} // namespace rbee::http
