#pragma once

#include "rbee/audit/chain.hpp"
#include "rbee/base/clock.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::audit {

/// A segment's name: "{16 hex digits of its first record}-{YYYY-MM-DD}.audit" while it is written
/// to, "….{YYYYMMDD}T{HHMMSS}Z.audit" once it is sealed. The order of names is that of the chain.
struct SegmentName {
    std::uint64_t first = 0;
    std::string day;    ///< "2026-01-31", UTC.
    std::string sealed; ///< "20260131T080000Z", empty while it is written to.

    [[nodiscard]] std::string file() const;
    /// Nothing for the names of other files.
    [[nodiscard]] static std::optional<SegmentName> parse(std::string_view file);
};

/// Those of `files` that name segments, in order.
[[nodiscard]] std::vector<SegmentName> segments_of(const std::vector<std::string>& files);

/// "2026-01-31", UTC.
[[nodiscard]] std::string day_of(WallTime time);
/// "20260131T080000Z".
[[nodiscard]] std::string stamp_of(WallTime time);

inline constexpr const char* head_file = "head";
inline constexpr const char* ballast_file = "ballast";
/// One sector, which a disk writes whole or not at all.
inline constexpr std::size_t head_bytes = 512;

/// The last point that is known to be durable. Written in place after each sync without a sync of
/// its own: after a loss of power it may be older than the log, never newer.
struct Head {
    std::string service;
    ChainPoint point;
    std::string segment;      ///< File that the point is in; empty at record 0.
    std::uint64_t offset = 0; ///< Behind the point's line.
    bool clean = false;       ///< The writer stopped in order.
    /// Control, security and inference events that are lost and in no gap record yet.
    std::array<std::uint64_t, 3> lost{};

    /// 512 bytes; the key of the point is in them.
    [[nodiscard]] Secret format() const;
    /// Nothing when the text is not whole.
    [[nodiscard]] static std::optional<Head> parse(std::string_view text);
};

} // namespace rbee::audit
