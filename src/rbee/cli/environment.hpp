#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::cli {

/// The environment variables as they were at the start. Given by apps/, so that nothing here reads
/// the process environment.
class Environment {
public:
    Environment() = default;
    using Values = std::map<std::string, std::string, std::less<>>;
    explicit Environment(Values values) : values_(std::move(values)) {}

    /// A variable that is set but empty counts as not set.
    [[nodiscard]] std::optional<std::string> operator()(std::string_view name) const {
        const auto found = values_.find(name);
        return found == values_.end() || found->second.empty() ? std::nullopt
                                                               : std::optional(found->second);
    }

    /// The same with one variable changed, or removed by nullopt; for a child.
    [[nodiscard]] Environment with(std::string name, std::optional<std::string> value) const {
        Environment out = *this;
        if (value) {
            out.values_.insert_or_assign(std::move(name), std::move(*value));
        } else {
            out.values_.erase(name);
        }
        return out;
    }

    /// "NAME=value" for each.
    [[nodiscard]] std::vector<std::string> entries() const {
        std::vector<std::string> out;
        out.reserve(values_.size());
        for (const auto& [name, value] : values_) {
            out.push_back(name);
            out.back().append("=").append(value);
        }
        return out;
    }

private:
    Values values_;
};

} // namespace rbee::cli
