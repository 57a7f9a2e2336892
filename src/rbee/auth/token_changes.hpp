#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/auth/token_set.hpp"

#include <span>

namespace rbee::auth {

/// Records how the tokens of a program changed: token.created and token.revoked, and
/// secret.reloaded for one of the same name. Tokens appear by their fingerprints.
void record_changes(
    audit::Logger& logger, std::span<const TokenRecord> before, std::span<const TokenRecord> after
);

} // namespace rbee::auth
