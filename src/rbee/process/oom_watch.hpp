#pragma once

#include "rbee/base/unique_fd.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::process {

/// Finds out whether the kernel killed a process for lack of memory: by the kernel's log where this
/// process may read it, else by the count of such kills on this machine. Reads small files of the
/// kernel; for one thread.
class OomWatch {
public:
    /// What happened before is not looked at. `root` is for tests.
    explicit OomWatch(const std::string& root = "");

    /// Forgets counts from before the last call: a rise is held against processes that die until
    /// the second call after it.
    void refresh();

    /// For a process that was ended by SIGKILL, and not by us: a sentence with what speaks for a
    /// lack of memory; nothing when nothing does.
    [[nodiscard]] std::optional<std::string> evidence(pid_t pid);

private:
    struct Kill {
        std::int64_t pid = 0;
        std::string line; ///< What the kernel said.
    };

    void read_log();
    void note(std::string_view record);
    [[nodiscard]] std::optional<std::uint64_t> count() const;

    std::string root_;
    UniqueFd log_;           ///< Invalid when we may not read it.
    bool same_pids_ = false; ///< The kernel's log names processes by the numbers that we see.
    std::deque<Kill> kills_; ///< Newest last.
    std::optional<std::uint64_t> before_last_;
    std::optional<std::uint64_t> last_;
};

} // namespace rbee::process
