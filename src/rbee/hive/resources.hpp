#pragma once

#include <cstdint>
#include <string>

namespace rbee::hive {

/// Memory and disk of this machine, in bytes; 0 where unknown.
struct Resources {
    std::uint64_t ram_total = 0;
    std::uint64_t ram_available = 0;
    std::uint64_t disk_total = 0;
    std::uint64_t disk_available = 0;
};

/// What there is now; the disk is the one of `directory`. Blocks.
[[nodiscard]] Resources read_resources(const std::string& directory);

} // namespace rbee::hive
