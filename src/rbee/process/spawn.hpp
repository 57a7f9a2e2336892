#pragma once

#include "rbee/base/result.hpp"
#include "rbee/process/command.hpp"

#include <sys/types.h>

namespace rbee::process {

/// posix_spawn() with everything that Command promises; gives the pid of a child that the caller
/// must reap. Child::spawn() does that by itself and is what an event loop uses. Errors as there.
[[nodiscard]] Result<pid_t> spawn_process(const Command& command);

} // namespace rbee::process
