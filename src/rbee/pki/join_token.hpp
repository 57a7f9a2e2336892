#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/sha256.hpp"

#include <string_view>

namespace rbee::pki {

/// A new one-time token with which a hive joins: "rbeejoin_<secret>_<SHA-256 of the CA in hex>".
/// The secret has 256 random bits; the digest lets the hive refuse every queen but the one that
/// invited it.
[[nodiscard]] Secret make_join_token(const Sha256& authority);

/// The digest in a join token. Fails with Errc::invalid_argument; nothing of the token is repeated.
[[nodiscard]] Result<Sha256> pinned_authority(const Secret& join_token);

} // namespace rbee::pki
