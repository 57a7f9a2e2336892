#pragma once

#include "rbee/audit/chain.hpp"
#include "rbee/audit/folder.hpp"
#include "rbee/audit/layout.hpp"
#include "rbee/base/result.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rbee::audit {

/// What a folder holds after a crash, and where the log goes on.
struct Recovered {
    ChainPoint at;                       ///< The next record follows this one.
    std::vector<SegmentName> segments;   ///< All there are, in order.
    bool append = false;                 ///< The last one is whole and may be appended to.
    std::uint64_t bytes = 0;             ///< Of the last one.
    std::uint64_t folder_bytes = 0;      ///< Of all.
    std::array<std::uint64_t, 3> lost{}; ///< As Head::lost.
    bool clean = true;                   ///< The run before ended in order, or there was none.
    std::string head = "none";           ///< "found", "none" or "missing".

    /// An unfinished end behind the last durable point, set aside in a file of its own.
    struct Torn {
        std::string file;
        std::uint64_t bytes = 0;
        Sha256 digest{};
    };
    std::optional<Torn> torn;
    /// A bad record before the last durable point. Nothing was repaired.
    struct Broken {
        std::string segment;
        ChainFault fault;
    };
    std::optional<Broken> broken;
};

/// Reads the head and the last segment. An end that is not whole and was never durable, so never
/// acknowledged, is moved to a file "….torn-…"; anything else that is wrong is only reported.
/// Errc::io when the disk does not answer; Errc::conflict when the folder is of another service;
/// Errc::corrupt when the head, with the key in it, is lost while records have MACs.
[[nodiscard]] Result<Recovered> recover(Folder& folder, const std::string& service, WallTime now);

/// The head of a folder, or nothing when it has none that is whole.
[[nodiscard]] std::optional<Head> read_head(Folder& folder);

} // namespace rbee::audit
