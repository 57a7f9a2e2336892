#pragma once

#include "rbee/audit/event.hpp"
#include "rbee/base/clock.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rbee::audit {

// What the audit log says about itself. Same rules as in events.hpp.

/// audit.start: the first record of every run.
struct AuditStart {
    std::string_view mode = {};
    std::string_view version = {};
    bool clean = true; ///< The run before ended in order, or there was none.
    std::uint64_t recovered_seq = 0;
    std::string_view head = {};      ///< "found", "none" or "missing".
    std::string_view torn_file = {}; ///< Where an unfinished end was set aside.
    std::uint64_t torn_bytes = 0;
    std::string_view torn_sha256;
};
[[nodiscard]] Event make_event(const AuditStart& event);

/// audit.stop
struct AuditStop {
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const AuditStop& event);

/// audit.chain_break: what was durable is not there or was changed. The chain goes on in a new
/// segment; nothing was repaired.
struct ChainBreak {
    std::string_view segment = {};
    std::string_view record = {};
    std::string_view reason = {};
};
[[nodiscard]] Event make_event(const ChainBreak& event);

/// Events that could not be recorded.
struct Losses {
    std::uint64_t control = 0;
    std::uint64_t security = 0;
    std::uint64_t inference = 0;
    WallTime first = {};
    WallTime last = {};
    std::string reason; ///< Of the first.

    [[nodiscard]] std::uint64_t count() const { return control + security + inference; }
    void add(EventClass kind, WallTime at, std::string_view why);
    void add(const Losses& other);
};
/// audit.gap
[[nodiscard]] Event make_event(const Losses& event);

/// audit.rotated: the first record of a new segment.
struct Rotated {
    std::string_view previous_segment = {};
    std::uint64_t bytes = 0;
    std::string_view reason = {}; ///< "size", "day" or "folder".
};
[[nodiscard]] Event make_event(const Rotated& event);

/// audit.pruned: written before the segments are deleted.
struct Pruned {
    std::span<const std::string> segments = {};
    std::uint64_t last_seq = 0;
    std::string_view last_hash = {};
};
[[nodiscard]] Event make_event(const Pruned& event);

/// audit.storage_failed: what was not yet durable was written again to a new segment.
struct StorageFailed {
    std::string_view segment = {};
    std::string_view error = {};
};
[[nodiscard]] Event make_event(const StorageFailed& event);

/// audit.disk_full: the reserve is in use; only what matters most is recorded.
struct DiskFull {
    std::uint64_t reserve_bytes = 0;
};
[[nodiscard]] Event make_event(const DiskFull& event);

/// audit.disk_low
struct DiskLow {
    std::string_view level = {}; ///< "warning", "error" or "good" again.
    std::uint64_t free_bytes = 0;
    std::uint64_t folder_bytes = 0;
};
[[nodiscard]] Event make_event(const DiskLow& event);

/// audit.suppressed: so many more events like those of this source before.
struct Suppressed {
    std::string_view event_type = {};
    std::string_view source = {};
    std::uint64_t count = 0;
    WallTime first = {};
    WallTime last = {};
};
[[nodiscard]] Event make_event(const Suppressed& event);

} // namespace rbee::audit
