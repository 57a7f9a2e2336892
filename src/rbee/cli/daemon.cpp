#include "rbee/cli/daemon.hpp"

#include "rbee/base/text.hpp"
#include "rbee/process/process_stat.hpp"
#include "rbee/process/spawn.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace rbee::cli {

namespace fs = std::filesystem;

bool is_running(const ProcessMark& mark) {
    return mark.pid > 0 && process::start_ticks_of(mark.pid) == mark.start_time;
}

Result<void> write_pid_file(const fs::path& path, const ProcessMark& mark) {
    const fs::path draft = path.string() + ".tmp";
    {
        std::ofstream file(draft, std::ios::trunc);
        file << mark.pid << '\n' << mark.start_time << '\n' << mark.url << '\n';
        if (!file.flush()) {
            return fail(Errc::io, "cannot write " + draft.string());
        }
    }
    std::error_code error;
    fs::rename(draft, path, error);
    if (error) {
        return fail(Errc::io, "cannot write " + path.string() + ": " + error.message());
    }
    return {};
}

std::optional<ProcessMark> read_pid_file(const fs::path& path) {
    std::ifstream file(path);
    ProcessMark mark;
    if (file >> mark.pid >> mark.start_time >> mark.url && mark.pid > 0) {
        return mark;
    }
    return std::nullopt;
}

UniqueFd open_process(const ProcessMark& mark) {
    UniqueFd fd = process::open_pidfd(mark.pid);
    // Looked at after the descriptor was taken: from then on the number cannot change its owner.
    return is_running(mark) ? std::move(fd) : UniqueFd();
}

void send_signal(const UniqueFd& process, int signal) {
    ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
}

Result<pid_t> start_daemon(const DaemonCommand& command) {
    const UniqueFd log(::open(command.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)
    );
    if (!log.valid()) {
        return fail(
            Errc::io,
            fmt::format(
                "cannot open {}: {}", command.log.string(), std::generic_category().message(errno)
            )
        );
    }
    return process::spawn_process({
        .program = command.program,
        .args = command.arguments,
        .env = command.environment,
        .inherit = command.inherit,
        .log_fd = log.get(),
        .own_session = true,
    });
}

Result<void> make_private_folder(const fs::path& path) {
    std::error_code error;
    if (path.empty() || fs::is_directory(path, error)) {
        return {};
    }
    if (path.has_parent_path() && path.parent_path() != path) {
        if (const auto parent = make_private_folder(path.parent_path()); !parent) {
            return parent;
        }
    }
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail(
            Errc::io,
            fmt::format(
                "cannot create {}: {}", path.string(), std::generic_category().message(errno)
            )
        );
    }
    return {};
}

std::string last_line(const fs::path& path, std::uint64_t offset) {
    constexpr std::uint64_t bytes_max = std::uint64_t{64} * 1024;
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const auto end = static_cast<std::uint64_t>(std::max<std::streamoff>(file.tellg(), 0));
    const std::uint64_t begin = std::max(offset, end > bytes_max ? end - bytes_max : 0);
    if (begin >= end) {
        return {};
    }
    file.seekg(static_cast<std::streamoff>(begin));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::string_view trimmed = trim(text);
    return std::string(trimmed.substr(trimmed.rfind('\n') + 1));
}

} // namespace rbee::cli
