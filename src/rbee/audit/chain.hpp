#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/keyed_digest.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/sha256.hpp"

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::audit {

/// A place in the chain: the last record before it. A fresh chain is at record 0 with 32 zero
/// bytes.
struct ChainPoint {
    std::uint64_t seq = 0; ///< Number of the last record; the first one has 1.
    Sha256 hash{};         ///< Its entry_hash.
    Secret key;            ///< 32 bytes, for the MAC of the next record; empty: it has none.

    [[nodiscard]] ChainPoint clone() const { return {seq, hash, key.clone()}; }
};

/// "audit-{service}-{16 hex digits}" (behaviour.md 11.2).
[[nodiscard]] std::string record_id(std::string_view service, std::uint64_t seq);
/// The number in such an id of any service, or nothing.
[[nodiscard]] std::optional<std::uint64_t> sequence_of(std::string_view id);

/// The number that a stored line, or its beginning, claims to have.
[[nodiscard]] std::optional<std::uint64_t> claimed_sequence(std::string_view line);
/// previous_hash of a stored line, whether or not it is right.
[[nodiscard]] std::optional<Sha256> link_of(std::string_view line);

/// What is wrong with a stored line.
struct ChainFault {
    std::string id;     ///< What the line calls itself, or the id that belongs here.
    std::string reason; ///< For people.
};

/// Parts of a stored line that fits the chain. Views the line.
struct LineView {
    std::uint64_t seq = 0;
    std::string_view timestamp;
    std::string_view event_type;
    bool has_mac = false;
};

/// The hash chain of one service (behaviour.md 11.2): makes lines and checks them. A line is
///
///     {"id":…,"timestamp":…,"service_id":…,"event_type":…,"actor":…,"correlation_id":…,
///      "details":{…},"previous_hash":"<hex>","mac":"<hex>","entry_hash":"<hex>"}
///
/// without blanks. entry_hash is SHA-256 of the bytes before `,"entry_hash"`, mac, when a key is
/// there, HMAC-SHA-256 of those before `,"mac"`. The key of the next record is
/// SHA-256("rbee-audit-evolve" ‖ key); the old one is overwritten. Not thread-safe.
class Chain {
public:
    Chain(std::string service, ChainPoint at);

    [[nodiscard]] const std::string& service() const { return service_; }
    [[nodiscard]] std::uint64_t seq() const { return seq_; }
    [[nodiscard]] const Sha256& hash() const { return hash_; }
    [[nodiscard]] bool keyed() const { return !material_.empty(); }

    /// Adds the next line, with its line end, to `out`. `body` is Event::body().
    void append(std::string& out, std::string_view body, WallTime at);

    /// Checks that `line`, without its line end, is the next one, and goes on behind it. After a
    /// fault the chain stays where it was.
    [[nodiscard]] std::expected<LineView, ChainFault> check(std::string_view line);

    /// Copies where the chain is; `to` keeps its memory.
    void save(ChainPoint& to) const;
    void restore(const ChainPoint& from);
    /// Records have a MAC from the next one on.
    void set_key(std::string_view key);
    /// The key of a record that comes `count` later.
    void skip_keys(std::uint64_t count);
    /// Takes the hash of the record before from elsewhere.
    void follow(const Sha256& previous) { hash_ = previous; }

private:
    void evolve();
    [[nodiscard]] std::expected<LineView, ChainFault>
    fault(std::string_view line, std::string why) const;

    std::string service_;
    std::uint64_t seq_;
    Sha256 hash_;
    Secret material_; ///< The prefix of the derivation, then the key; empty without a key.
    std::unique_ptr<KeyedDigest> mac_;
};

} // namespace rbee::audit
