#pragma once

namespace rbee::process {

/// From now on this process leaves no core file and cannot be read by debuggers of its user: a
/// picture of its memory would show tokens and prompts. Children that it starts have no core files
/// either (RLIMIT_CORE is inherited). At the start of main().
void forbid_core_dumps();

} // namespace rbee::process
