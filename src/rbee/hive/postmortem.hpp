#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/supervisor.hpp"

#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace rbee::hive {

/// How much of a worker's log a post-mortem keeps.
inline constexpr std::size_t postmortem_log_bytes = 64UL * 1024;

/// What is known of one death of a worker (reliability.md 2.2).
struct Postmortem {
    /// What comes after it.
    struct Outlook {
        domain::WorkerState state = domain::WorkerState::stopped; ///< Of the worker now.
        std::string reason;        ///< Why, for people; may be empty.
        std::uint32_t attempt = 0; ///< Restarts in a row that there will have been.
        std::uint32_t attempts_max = 0;
        std::optional<std::string> next_restart; ///< RFC 3339; nothing when none is due.
    };

    Supervisor::ExitReport report;
    Outlook next;
    WallTime died_at;
    std::string log;      ///< The end of its log, without secrets; added last, from disk.
    bool log_cut = false; ///< There was more of it.
};

/// The one cause of a death that nobody asked for; for metrics.
[[nodiscard]] CrashCause crash_cause(const Supervisor::ExitReport& report);

/// "killed by signal 11 (SIGSEGV) after 3 min with 1.2 GB; restart 1 of 3 at 2026-…Z". One line
/// without secrets.
[[nodiscard]] std::string summary_of(const Postmortem& death);

/// The whole as GET /v1/workers/{id}/postmortem shows it and as it is kept on disk; `id` names it
/// in logs and among the others.
[[nodiscard]] boost::json::object to_json(const Postmortem& death, const std::string& id);

/// The end of the log of one process, which begins at `from` in the file: at most
/// postmortem_log_bytes, whole lines, secrets hidden. What was written before `from` is left out
/// unless the file was cut since. Empty when there is nothing. Blocks.
struct LogEnd {
    std::string text;
    bool cut = false; ///< There was more.
};
[[nodiscard]] LogEnd read_log_end(const std::string& path, std::uint64_t from);

} // namespace rbee::hive
