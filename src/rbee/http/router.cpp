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

/// The values of the placeholders, or nothing when the path does not fit.
std::optional<std::vector<std::string>>
match_path(const std::vector<std::string>& pattern, std::string_view path) {
    std::vector<std::string> values;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const bool last = i + 1 == pattern.size();
        const auto end = path.find('/');
        if (last != (end == std::string_view::npos)) {
            return std::nullopt;
        }
        const std::string_view segment = path.substr(0, end);
        path.remove_prefix(last ? path.size() : end + 1);
        if (!is_placeholder(pattern[i])) {
            if (pattern[i] != segment) {
                return std::nullopt;
            }
            continue;
        }
        auto value = percent_decode(segment);
        if (!value || value->empty()) {
            return std::nullopt;
        }
        values.push_back(std::move(*value));
    }
    return values;
}

} // namespace

void Router::add(std::string method, std::string pattern, Handler handler, Access access) {
    const std::size_t route = routes_.size();
    if (pattern.contains('{')) {
        const auto segments = split(pattern, '/');
        patterns_.push_back({route, {segments.begin(), segments.end()}});
    } else {
        literal_.emplace(pattern, route);
    }
    routes_.push_back({std::move(method), std::move(pattern), access, std::move(handler)});
}

void Router::fit(
    std::size_t route, std::string_view wanted, std::vector<std::string> values, Match& best
) const {
    const Route& candidate = routes_[route];
    if (candidate.method != wanted) {
        if (std::ranges::find(best.allowed, candidate.method) == best.allowed.end()) {
            best.allowed.push_back(candidate.method);
        }
    } else if (best.route == nullptr || values.size() < best.values.size()) {
        best.route = &candidate;
        best.values = std::move(values);
    }
}

Router::Match Router::find(std::string_view method, std::string_view path) const {
    const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
    Match best;
    const auto [first, last] = literal_.equal_range(path);
    for (auto literal = first; literal != last; ++literal) {
        fit(literal->second, wanted, {}, best);
    }
    if (best.route == nullptr) {
        for (const Pattern& pattern : patterns_) {
            if (auto values = match_path(pattern.segments, path)) {
                fit(pattern.route, wanted, std::move(*values), best);
            }
        }
    }
    if (best.route != nullptr) {
        best.allowed.clear();
    }
    return best;
}

} // namespace rbee::http
