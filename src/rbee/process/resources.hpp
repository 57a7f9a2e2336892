#pragma once

#include "rbee/base/result.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace rbee::process {

struct Memory {
    std::uint64_t total_bytes = 0;
    std::uint64_t available_bytes = 0; ///< What can be taken without swapping.
};

struct Disk {
    std::uint64_t total_bytes = 0;
    std::uint64_t available_bytes = 0; ///< For users that are not root.
};

/// Memory of this machine, or of this process' control group (version 2) where that allows less.
/// `root` is for tests. Errc::io when the kernel does not say.
[[nodiscard]] Result<Memory> memory(const std::string& root = "");

/// The file system that holds `path`. Errc::io.
[[nodiscard]] Result<Disk> disk(const std::string& path);

/// Processors this process may run on; at least 1.
[[nodiscard]] unsigned cpu_count();

/// Resident memory of a process in bytes. Errc::not_found when there is no such process.
[[nodiscard]] Result<std::uint64_t> rss_bytes(pid_t pid);

} // namespace rbee::process
