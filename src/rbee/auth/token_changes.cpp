#include "rbee/auth/token_changes.hpp"

#include "rbee/audit/events.hpp"
#include "rbee/auth/token.hpp"

#include <algorithm>
#include <string>

namespace rbee::auth {
namespace {

/// Whoever changed the file did so on this machine; who that was is not known here.
constexpr audit::Actor by_file = {.user_id = "system", .auth_method = "internal"};

const TokenRecord* find(std::span<const TokenRecord> records, const std::string& name) {
    const auto found = std::ranges::find(records, name, &TokenRecord::name);
    return found == records.end() ? nullptr : &*found;
}

void record_created(audit::Logger& logger, const TokenRecord& record) {
    const auto scopes = record.scopes.names();
    const std::string expires = record.expires ? to_rfc3339(*record.expires) : std::string();
    logger.record(audit::make_event(audit::TokenCreated{
        .actor = by_file,
        .token_fingerprint = fingerprint(record.digest),
        .scope = scopes,
        .expires_at = expires,
    }));
}

} // namespace

void record_changes(
    audit::Logger& logger, std::span<const TokenRecord> before, std::span<const TokenRecord> after
) {
    for (const TokenRecord& record : after) {
        const TokenRecord* old = find(before, record.name);
        if (old == nullptr) {
            record_created(logger, record);
        } else if (old->digest != record.digest) {
            logger.record(audit::make_event(audit::SecretReloaded{
                .actor = by_file,
                .name = record.name,
                .old_fingerprint = fingerprint(old->digest),
                .new_fingerprint = fingerprint(record.digest),
            }));
        }
    }
    for (const TokenRecord& record : before) {
        if (find(after, record.name) == nullptr) {
            logger.record(audit::make_event(audit::TokenRevoked{
                .actor = by_file,
                .token_fingerprint = fingerprint(record.digest),
                .reason = "not in the file any more",
            }));
        }
    }
}

} // namespace rbee::auth
