#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/process/command.hpp"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::cli {

/// A process of ours, told apart from a later one with the same number by its start time.
struct ProcessMark {
    pid_t pid = 0;
    std::uint64_t start_time = 0; ///< See process::start_ticks_of().
    std::string url;              ///< Where it serves.
};

[[nodiscard]] bool is_running(const ProcessMark& mark);

/// Three lines: pid, start time, URL. Written by rename, so that nobody reads half of it.
[[nodiscard]] Result<void>
write_pid_file(const std::filesystem::path& path, const ProcessMark& mark);
[[nodiscard]] std::optional<ProcessMark> read_pid_file(const std::filesystem::path& path);

/// A pidfd of the marked process; not valid when it does not run any more.
[[nodiscard]] UniqueFd open_process(const ProcessMark& mark);
/// Sends `signal` to the process behind a pidfd.
void send_signal(const UniqueFd& process, int signal);

struct DaemonCommand {
    std::string program;                            ///< Path of the executable.
    std::vector<std::string> arguments;             ///< Without the program itself.
    std::vector<std::string> environment;           ///< "NAME=value", complete.
    std::filesystem::path log;                      ///< stdout and stderr are appended here.
    std::vector<process::InheritedFd> inherit = {}; ///< Borrowed for the call.
};

/// Starts a program in a session of its own, which so outlives this one and gets no Ctrl+C.
[[nodiscard]] Result<pid_t> start_daemon(const DaemonCommand& command);

/// Creates the folder and its parents; new ones are for the owner only (0700).
[[nodiscard]] Result<void> make_private_folder(const std::filesystem::path& path);

/// The last non-empty line of a log file behind `offset`; empty when there is none.
[[nodiscard]] std::string last_line(const std::filesystem::path& path, std::uint64_t offset);

} // namespace rbee::cli
