#pragma once

#include "rbee/base/unique_fd.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace rbee::process {

/// What the kernel says of a process in /proc/<pid>/stat (proc(5)).
struct ProcessStat {
    bool ended = false; ///< A zombie, or dead: nothing of it runs any more.
    std::optional<pid_t> parent;
    std::optional<std::uint64_t> start_ticks; ///< Clock ticks since the machine started.
    std::optional<std::uint64_t> wait_status; ///< How it ended, as waitpid() gives it; 0 before.
};

/// Nothing when there is no such process. Thread-safe.
[[nodiscard]] std::optional<ProcessStat> process_stat(pid_t pid);

/// When a process began, in clock ticks since the machine did; with boot_id() and the number it
/// tells a process from a later one of the same number. Nothing for one that is not there or that
/// has ended.
[[nodiscard]] std::optional<std::uint64_t> start_ticks_of(pid_t pid);

/// A descriptor that stands for this process and no later one of its number; invalid, with errno,
/// when there is none.
[[nodiscard]] UniqueFd open_pidfd(pid_t pid);

} // namespace rbee::process
