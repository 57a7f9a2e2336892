#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rbee::process {

/// A descriptor that the child gets under a number of its own. Child numbers are 3 or more, each
/// used once; parent numbers may be anything, also those that are child numbers elsewhere.
struct InheritedFd {
    int parent_fd = -1;
    int child_fd = -1;
};

/// A limit of the kernel for one process (setrlimit(2)), soft; never above the parent's hard one.
struct ResourceLimit {
    int resource = 0; ///< Such as RLIMIT_CORE.
    std::uint64_t value = 0;
};

/// What to start, completely: nothing else of the parent reaches the child. No other descriptor
/// above 2 is inherited; stdin is /dev/null; signals have their default effect and are not blocked.
struct Command {
    std::string program;                ///< A path, or a name to look for in the parent's PATH.
    std::vector<std::string> args = {}; ///< Without the program itself.
    std::vector<std::string> env = {};  ///< The whole environment, as "NAME=value".
    std::vector<InheritedFd> inherit = {};
    std::optional<int> log_fd = {};    ///< For stdout and stderr; opened with O_APPEND.
    std::string log_path = {};         ///< The same by path (created 0600); log_fd wins.
    std::optional<int> output_fd = {}; ///< For stdout alone, instead of a log; stderr is dropped.
    std::string cwd = {};              ///< Empty: the parent's.
    std::vector<unsigned> cpus = {};   ///< Processors it may run on; empty: the parent's.
    bool own_group = true; ///< Own process group, which is killed as a whole when the child ends.
    bool own_session =
        false; ///< Own session (and so group): it outlives the terminal of the parent.
    /// Added to the badness by which the kernel chooses what to kill when memory runs out, up to
    /// 1000. What cannot be applied is left as it is; both come right after the start.
    std::optional<int> oom_score_adj = {};
    std::vector<ResourceLimit> limits = {};
};

} // namespace rbee::process
