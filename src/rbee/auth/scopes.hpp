#pragma once

#include "rbee/base/result.hpp"

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::auth {

/// One right that a token can carry.
enum class Scope : std::uint8_t {
    infer = 1U << 0U,   ///< Inference and what belongs to it.
    models = 1U << 1U,  ///< Lists and states of models, workers and nodes.
    metrics = 1U << 2U, ///< /metrics, where it is protected.
    admin = 1U << 3U,   ///< Everything that changes something or shows logs.
    hive = 1U << 4U,    ///< What hives tell the queen. For programs.
    worker = 1U << 5U,  ///< What workers tell their hive. For programs.
};

/// A set of scopes. A value; thread-safe like one.
class Scopes {
public:
    constexpr Scopes() = default;
    constexpr Scopes(std::initializer_list<Scope> scopes) {
        for (const Scope scope : scopes) {
            add(scope);
        }
    }
    /// Every scope: what a token without a list of its own has (one-line files, environment).
    [[nodiscard]] static constexpr Scopes all() {
        return {
            Scope::infer, Scope::models, Scope::metrics, Scope::admin, Scope::hive, Scope::worker
        };
    }

    constexpr void add(Scope scope) { bits_ |= static_cast<std::uint8_t>(scope); }
    [[nodiscard]] constexpr bool has(Scope scope) const {
        return (bits_ & static_cast<std::uint8_t>(scope)) != 0;
    }
    /// True when a route that needs `scope` may be used: has it, or has `admin` where that is
    /// enough (infer, models, metrics; never hive and worker, which are for programs).
    [[nodiscard]] bool allows(Scope scope) const;
    [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
    [[nodiscard]] constexpr bool operator==(const Scopes&) const = default;

    /// Names in fixed order, such as {"infer", "models"}.
    [[nodiscard]] std::vector<std::string> names() const;
    /// The same in one line with `separator` between, such as "infer,models".
    [[nodiscard]] std::string to_string(std::string_view separator = ",") const;

private:
    std::uint8_t bits_ = 0;
};

/// The name of one scope, as in token files and WWW-Authenticate.
[[nodiscard]] std::string_view to_string(Scope scope);

/// Reads names of scopes; repeated ones are fine. Errc::invalid_argument for an unknown name (which
/// the message does not repeat) and for an empty list.
[[nodiscard]] Result<Scopes> parse_scopes(std::span<const std::string> names);
/// The same from one line, such as "infer,models".
[[nodiscard]] Result<Scopes> parse_scopes(std::string_view list);

} // namespace rbee::auth
