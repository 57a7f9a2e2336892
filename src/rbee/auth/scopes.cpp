#include "rbee/auth/scopes.hpp"

#include "rbee/base/text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace rbee::auth {
namespace {

constexpr std::array<std::pair<std::string_view, Scope>, 6> known = {{
    {"infer", Scope::infer},
    {"models", Scope::models},
    {"metrics", Scope::metrics},
    {"admin", Scope::admin},
    {"hive", Scope::hive},
    {"worker", Scope::worker},
}};

} // namespace

bool Scopes::allows(Scope scope) const {
    const bool for_people =
        scope == Scope::infer || scope == Scope::models || scope == Scope::metrics;
    return has(scope) || (for_people && has(Scope::admin));
}

std::vector<std::string> Scopes::names() const {
    std::vector<std::string> out;
    for (const auto& [name, scope] : known) {
        if (has(scope)) {
            out.emplace_back(name);
        }
    }
    return out;
}

std::string Scopes::to_string(std::string_view separator) const {
    return fmt::format("{}", fmt::join(names(), separator));
}

std::string_view to_string(Scope scope) {
    return std::ranges::find(known, scope, &std::pair<std::string_view, Scope>::second)->first;
}

Result<Scopes> parse_scopes(std::span<const std::string> names) {
    Scopes out;
    for (const std::string& name : names) {
        const auto found =
            std::ranges::find(known, name, &std::pair<std::string_view, Scope>::first);
        if (found == known.end()) {
            return fail(
                Errc::invalid_argument,
                "unknown scope; there are infer, models, metrics, admin, hive and worker"
            );
        }
        out.add(found->second);
    }
    if (out.empty()) {
        return fail(Errc::invalid_argument, "a token needs one scope at least");
    }
    return out;
}

Result<Scopes> parse_scopes(std::string_view list) {
    std::vector<std::string> names;
    for (const std::string_view name : split(list, ',')) {
        names.emplace_back(trim(name));
    }
    return parse_scopes(names);
}

} // namespace rbee::auth
