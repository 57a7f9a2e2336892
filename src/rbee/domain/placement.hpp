#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rbee::domain {

/// A worker as the choice of where a request goes sees it. Views stay valid during the choice.
struct Candidate {
    std::string_view worker_id;
    std::string_view hive;
    std::span<const std::string> names; ///< What the `model` field may say: short name, reference.
    bool usable = false;                ///< Routable, its hive available, not held back.
    std::uint32_t slots_total = 0;
    std::uint32_t in_flight = 0; ///< Requests of ours that it works for.
};

/// What a request needs.
struct Wanted {
    std::string model;
    std::string hive; ///< Only this one; empty = any.

    bool operator==(const Wanted&) const = default;
};

/// The candidate serves the model of `wanted` on a hive that it allows; whether it has room is
/// another question.
[[nodiscard]] bool suits(const Candidate& candidate, const Wanted& wanted);

/// Index of the candidate that should serve `wanted`, or nothing when none has a free slot. Takes
/// the least busy worker (share of slots in use), among equals one on the hive with the fewest
/// requests, and among those the one whose turn it is: `turn` is any number that grows by one
/// with each choice. Pure; the same arguments give the same answer.
[[nodiscard]] std::optional<std::size_t>
choose_worker(std::span<const Candidate> candidates, const Wanted& wanted, std::uint64_t turn);

} // namespace rbee::domain
