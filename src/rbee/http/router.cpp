#include "rbee/http/router.hpp"

#include "rbee/base/text.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

namespace rbee::http {
namespace {

bool is_placeholder(std::string_view segment) {
    return segment.starts_with('{') && segment.ends_with('}');
}

std::optional<std::vector<std::string>>
match_path(std::string_view pattern, const std::vector<std::string_view>& path) {
    const auto wanted = split(pattern, '/');
    if (wanted.size() != path.size()) {
        return std::nullopt;
    }
    std::vector<std::string> values;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (!is_placeholder(wanted[i])) {
            if (wanted[i] != path[i]) {
                return std::nullopt;
            }
            continue;
        }
        auto value = percent_decode(path[i]);
        if (!value || value->empty()) {
            return std::nullopt;
        }
        values.push_back(std::move(*value));
    }
    return values;
}

} // namespace

void Router::add(std::string method, std::string pattern, Handler handler, Access access) {
    routes_.push_back({std::move(method), std::move(pattern), access, std::move(handler)});
}

Router::Match Router::find(std::string_view method, std::string_view path) const {
    const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
    const auto segments = split(path, '/');
    Match best;
    for (const Route& route : routes_) {
        auto values = match_path(route.pattern, segments);
        if (!values) {
            continue;
        }
        if (route.method != wanted) {
            if (std::ranges::find(best.allowed, route.method) == best.allowed.end()) {
                best.allowed.push_back(route.method);
            }
            continue;
        }
        if (best.route == nullptr || values->size() < best.values.size()) {
            best.route = &route;
            best.values = std::move(*values);
        }
    }
    if (best.route != nullptr) {
        best.allowed.clear();
    }
    return best;
}

} // namespace rbee::http
