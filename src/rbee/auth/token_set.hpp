#pragma once

#include "rbee/auth/scopes.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/sha256.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rbee::auth {

/// A token as it is remembered: never the token itself.
struct TokenRecord {
    std::string name;
    Sha256 digest{}; ///< SHA-256 of the token.
    Scopes scopes;
    std::optional<WallTime> created = std::nullopt;
    std::optional<WallTime> expires = std::nullopt; ///< Not valid at and after this time.
};

/// The record of a token that does not expire.
[[nodiscard]] TokenRecord make_record(std::string name, const Secret& token, Scopes scopes);

/// Tokens that are valid together. Immutable.
class TokenSet {
public:
    TokenSet() = default;
    explicit TokenSet(std::vector<TokenRecord> records) : records_(std::move(records)) {}

    [[nodiscard]] const std::vector<TokenRecord>& records() const { return records_; }
    [[nodiscard]] bool empty() const { return records_.empty(); }

private:
    std::vector<TokenRecord> records_;
};

} // namespace rbee::auth
