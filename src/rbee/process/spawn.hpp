#pragma once

#include "rbee/base/result.hpp"
#include "rbee/process/command.hpp"

#include <sys/types.h>

namespace rbee::process::detail {

/// posix_spawn() with everything that Command promises; gives the pid of an unreaped child.
[[nodiscard]] Result<pid_t> spawn_process(const Command& command);

} // namespace rbee::process::detail
