#pragma once

#include <optional>
#include <string_view>

namespace rbee::domain {

/// Why a worker's process ended, as far as it matters for what comes next (reliability.md 2.2).
enum class ExitKind {
    asked_for,     ///< It was told to stop.
    clean,         ///< Code 0 without being asked.
    crash,         ///< A signal, another code, or killed because it did not get on.
    configuration, ///< It would end in the same way each time.
    out_of_memory, ///< The kernel or its memory limit killed it.
};

/// The kind in lower snake case, for logs and metrics.
[[nodiscard]] std::string_view to_string(ExitKind kind);
/// The kind that to_string() calls so.
[[nodiscard]] std::optional<ExitKind> parse_exit_kind(std::string_view text);

/// What is known of an end.
struct ExitEvidence {
    std::optional<int> code = {};
    std::optional<int> signal = {};
    bool requested = false;     ///< The hive asked for it.
    bool out_of_memory = false; ///< The kernel counted an out-of-memory kill there.
    bool cannot_load = false;   ///< The worker itself said that its model or its flags are no good.
    bool stalled = false;       ///< The hive ended it because it did not get on.
};

/// Codes 64, 65, 66 and 78 of sysexits.h (usage, data, no input, configuration) and 126 and 127 of
/// shells (not executable, not found) are of the class configuration; 71 (system error) of a worker
/// that cannot load means that memory was short. Pure.
[[nodiscard]] ExitKind classify_exit(const ExitEvidence& evidence);

} // namespace rbee::domain
