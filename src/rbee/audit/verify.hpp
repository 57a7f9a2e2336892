#pragma once

#include "rbee/audit/chain.hpp"
#include "rbee/audit/layout.hpp"
#include "rbee/base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::audit {

/// The first key of a log's MACs, as `rbee audit init` prints it.
struct FirstKey {
    std::uint64_t seq = 1; ///< The first record that has a MAC.
    Secret key;

    /// "rbee-audit-key-{16 hex digits}-{64 hex digits}".
    [[nodiscard]] Secret format() const;
    [[nodiscard]] static std::optional<FirstKey> parse(std::string_view text);
};

/// A record that somebody else remembers, such as the head of yesterday.
struct Witness {
    std::uint64_t seq = 0;
    Sha256 hash{};

    /// "{id or number}:{64 hex digits}".
    [[nodiscard]] static std::optional<Witness> parse(std::string_view text);
};

/// What to check besides the chain itself.
struct VerifyOptions {
    std::string folder;
    std::optional<FirstKey> key;
    std::optional<Witness> witness;
    bool use_head = true; ///< The folder's own head tells where the log ended at least.
};

/// The worst that was found. The numbers are exit codes of `rbee audit verify`.
enum class Verdict : std::uint8_t { ok = 0, tampered = 2, torn = 3, gap = 4 };
[[nodiscard]] std::string_view to_string(Verdict verdict);

/// What a log is worth.
struct Report {
    Verdict verdict = Verdict::ok;
    std::string service;
    std::uint64_t segments = 0;
    std::uint64_t records = 0; ///< Whole and in their place.
    std::uint64_t macs = 0;    ///< Of them, with a MAC that was checked.
    Witness last;              ///< The last good record.
    std::string last_id;

    /// The first thing that is wrong.
    struct Bad {
        std::string segment;
        std::uint64_t line = 0;
        ChainFault fault;
    };
    std::optional<Bad> bad;
    std::uint64_t unverified = 0; ///< Records behind the bad one: they prove nothing.
    std::uint64_t torn_bytes = 0; ///< An unfinished end that was never durable.
    std::uint64_t gaps = 0;       ///< The log itself says so often that something is missing.
    std::uint64_t gap_events = 0; ///< Events that they count.
    std::uint64_t pruned_to = 0;  ///< Records up to this one were deleted by age.
    bool live = false;            ///< A program writes to it right now.
    bool macs_unchecked = false;  ///< There are MACs, but no key was given.
};

/// Reads every record of the folder and checks it against the one before. Only reads. Errc::io,
/// Errc::not_found when there is no log, Errc::invalid_argument for a key that cannot fit.
[[nodiscard]] Result<Report> verify(const VerifyOptions& options);

} // namespace rbee::audit
