#include "rbee/auth/bearer.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/constant_time.hpp"
#include "rbee/base/text.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace rbee::auth {
namespace {

constexpr std::size_t header_bytes_max = 8192;
constexpr std::string_view scheme = "Bearer";
constexpr std::string_view missing = "Missing API key";
constexpr std::string_view bad_format = "Invalid Authorization header format";

Verdict refuse(std::string_view reason, Error error) {
    Verdict verdict;
    verdict.log_reason = reason;
    verdict.error = std::move(error);
    return verdict;
}

Verdict refuse_credentials(std::string_view reason) {
    const bool none = reason == "missing_header" || reason == "empty_token";
    return refuse(
        reason,
        {Errc::unauthenticated,
         std::string(none ? missing : bad_format),
         none ? "MISSING_API_KEY" : "INVALID_API_KEY"}
    );
}

/// One answer for unknown, expired and revoked tokens: which of them it was is nobody's business.
Verdict refuse_token(std::string_view reason, std::string actor) {
    Verdict verdict =
        refuse(reason, {Errc::unauthenticated, "Invalid or missing API key", "INVALID_API_KEY"});
    verdict.actor = std::move(actor);
    return verdict;
}

Verdict allow(std::string actor, std::string principal, Scopes scopes) {
    Verdict verdict;
    verdict.allowed = true;
    verdict.actor = std::move(actor);
    verdict.principal = std::move(principal);
    verdict.scopes = scopes;
    return verdict;
}

/// RFC 6750 §2.3 is never honoured: what stands in a target ends up in logs and histories.
bool has_token(std::string_view query) {
    constexpr std::array<std::string_view, 4> names = {"access_token", "api_key", "token", "key"};
    if (query.empty()) {
        return false;
    }
    return std::ranges::any_of(split(query, '&'), [&](std::string_view parameter) {
        const auto equals = parameter.find('=');
        if (equals == std::string_view::npos || equals + 1 == parameter.size()) {
            return false; // no value: nothing has leaked
        }
        const auto name = percent_decode(parameter.substr(0, equals));
        return name && std::ranges::any_of(names, [&](std::string_view one) {
                   return iequals(*name, one);
               });
    });
}

std::string_view bytes_of(const Sha256& digest) {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

bool is_control(char byte) {
    const auto value = static_cast<unsigned char>(byte);
    return value < 0x20 || value == 0x7F;
}

} // namespace

TokenRecord make_record(std::string name, const Secret& token, Scopes scopes) {
    RBEE_ASSERT(!token.empty());
    return {.name = std::move(name), .digest = sha256(token.expose()), .scopes = scopes};
}

Credentials parse_authorization(std::string_view value) {
    if (value.size() > header_bytes_max) {
        return {.token = {}, .log_reason = "missing_header"};
    }
    value = trim(value);
    if (value.size() < scheme.size() || !iequals(value.substr(0, scheme.size()), scheme)) {
        return {.token = {}, .log_reason = "invalid_format"};
    }
    std::string_view token = value.substr(scheme.size());
    if (token.empty()) {
        return {.token = {}, .log_reason = "empty_token"};
    }
    if (!token.starts_with(' ') || token.starts_with("  ") ||
        std::ranges::any_of(token, is_control)) {
        return {.token = {}, .log_reason = "invalid_format"};
    }
    token.remove_prefix(1);
    return {.token = token, .log_reason = {}};
}

Authenticator::Entry Authenticator::make_entry(TokenRecord record) const {
    const Sha256 keyed = keyed_.of(bytes_of(record.digest));
    std::string actor = fingerprint(record.digest);
    return {.record = std::move(record), .keyed = keyed, .actor = std::move(actor)};
}

void Authenticator::accept(const Secret& token) {
    accepted_.push_back(make_entry(make_record(std::string(own_token_name), token, Scopes::all())));
    open_ = false;
}

void Authenticator::replace(const TokenSet& tokens) {
    std::vector<Entry> entries;
    entries.reserve(tokens.records().size());
    for (const TokenRecord& record : tokens.records()) {
        entries.push_back(make_entry(record));
    }
    accepted_ = std::move(entries);
    open_ = false;
}

void Authenticator::grant(std::string name, const Secret& token, Scopes scopes) {
    grant(make_record(std::move(name), token, scopes));
}

void Authenticator::grant(TokenRecord record) {
    revoke(record.name);
    granted_.push_back(make_entry(std::move(record)));
}

bool Authenticator::revoke(std::string_view name) {
    return std::erase_if(granted_, [&](const Entry& entry) { return entry.record.name == name; }) !=
           0;
}

std::size_t Authenticator::find(std::string_view token) const {
    using constant_time::mask_if_zero;
    const Sha256 presented = keyed_.of(bytes_of(sha256(token)));
    // Every entry is compared, and the number of the first that fits is kept without a branch.
    std::size_t found = 0;
    std::size_t number = 0;
    for (const std::vector<Entry>* list : {&accepted_, &granted_}) {
        for (const Entry& entry : *list) {
            ++number;
            const auto differs = static_cast<std::size_t>(
                CRYPTO_memcmp(entry.keyed.data(), presented.data(), presented.size())
            );
            found |= number & mask_if_zero(differs) & mask_if_zero(found);
        }
    }
    return found;
}

const Authenticator::Entry& Authenticator::entry(std::size_t number) const {
    const std::size_t at = number - 1;
    return at < accepted_.size() ? accepted_[at] : granted_[at - accepted_.size()];
}

Verdict Authenticator::check(const http::RequestHead& head, WallTime now) const {
    if (has_token(head.query)) {
        return refuse(
            "token_in_query",
            {Errc::invalid_argument,
             "A token in the query is never accepted; send it in the Authorization header",
             "INVALID_REQUEST"}
        );
    }
    if (head.headers.count("Authorization") > 1) {
        return refuse(
            "invalid_format",
            {Errc::invalid_argument, "More than one Authorization field", "INVALID_REQUEST"}
        );
    }
    const auto header = head.headers.find("Authorization");
    const Credentials given = header ? parse_authorization(*header)
                                     : Credentials{.token = {}, .log_reason = "missing_header"};
    const bool presented = given.log_reason.empty();
    const bool well_formed = presented && is_well_formed(given.token);
    const std::size_t number = well_formed ? find(given.token) : 0;
    bool expired = false;
    if (number != 0) {
        const Entry& found = entry(number);
        expired = found.record.expires && now >= *found.record.expires;
        if (!expired) {
            return allow(found.actor, found.record.name, found.record.scopes);
        }
    }
    if (open_) {
        return allow("dev", "dev", Scopes::all());
    }
    if (!presented) {
        return refuse_credentials(given.log_reason);
    }
    if (!well_formed) {
        return refuse_token("invalid_token", "token:malformed");
    }
    return refuse_token(expired ? "expired_token" : "invalid_token", fingerprint(given.token));
}

} // namespace rbee::auth
