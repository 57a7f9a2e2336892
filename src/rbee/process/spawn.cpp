#include "rbee/process/spawn.hpp"

#include "rbee/base/unique_fd.hpp"
#include "rbee/process/cpu_affinity.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace rbee::process {
namespace {

class FileActions {
public:
    FileActions() { ::posix_spawn_file_actions_init(&actions_); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;
    ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
    [[nodiscard]] posix_spawn_file_actions_t* get() { return &actions_; }

private:
    posix_spawn_file_actions_t actions_{};
};

class Attributes {
public:
    explicit Attributes(const Command& command) {
        ::posix_spawnattr_init(&attributes_);
        sigset_t none;
        sigset_t all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
        if (command.own_session) {
            flags |= POSIX_SPAWN_SETSID; // which refuses to change its group once more
        } else if (command.own_group) {
            flags |= POSIX_SPAWN_SETPGROUP;
        }
        ::posix_spawnattr_setpgroup(&attributes_, 0);
        ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
    }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }
    [[nodiscard]] const posix_spawnattr_t* get() const { return &attributes_; }

private:
    posix_spawnattr_t attributes_{};
};

std::vector<char*> pointers(const std::vector<std::string>& texts, const std::string* first) {
    std::vector<char*> out;
    out.reserve(texts.size() + 2);
    if (first != nullptr) {
        out.push_back(const_cast<char*>(first->c_str()));
    }
    for (const std::string& text : texts) {
        out.push_back(const_cast<char*>(text.c_str())); // POSIX promises not to write
    }
    out.push_back(nullptr);
    return out;
}

Result<void> check(const Command& command) {
    std::vector<int> used;
    for (const InheritedFd& fd : command.inherit) {
        if (fd.child_fd <= STDERR_FILENO || std::ranges::find(used, fd.child_fd) != used.end()) {
            return fail(
                Errc::invalid_argument, "a child's descriptor number is below 3 or used twice"
            );
        }
        used.push_back(fd.child_fd);
    }
    if (command.program.empty()) {
        return fail(Errc::invalid_argument, "no program to start");
    }
    return {};
}

/// Fills `actions`; `copies` keeps descriptors open that they name.
Result<void>
plan_files(const Command& command, FileActions& actions, std::vector<UniqueFd>& copies) {
    int above = STDERR_FILENO + 1;
    for (const InheritedFd& fd : command.inherit) {
        above = std::max(above, fd.child_fd + 1);
    }
    // Sources move out of the way first, or one dup2 could overwrite the source of the next.
    const auto give = [&](int from, int to) {
        UniqueFd copy(::fcntl(from, F_DUPFD_CLOEXEC, above));
        if (!copy.valid()) {
            return false;
        }
        ::posix_spawn_file_actions_adddup2(actions.get(), copy.get(), to);
        copies.push_back(std::move(copy));
        return true;
    };
    ::posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    bool good = true;
    if (command.output_fd) {
        good = give(*command.output_fd, STDOUT_FILENO);
        ::posix_spawn_file_actions_addopen(actions.get(), STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    } else if (command.log_fd) {
        good = give(*command.log_fd, STDOUT_FILENO);
    } else if (!command.log_path.empty()) {
        ::posix_spawn_file_actions_addopen(
            actions.get(),
            STDOUT_FILENO,
            command.log_path.c_str(),
            O_WRONLY | O_CREAT | O_APPEND,
            0600
        );
    }
    if (!command.output_fd && (command.log_fd || !command.log_path.empty())) {
        ::posix_spawn_file_actions_adddup2(actions.get(), STDOUT_FILENO, STDERR_FILENO);
    }
    for (const InheritedFd& fd : command.inherit) {
        good = good && give(fd.parent_fd, fd.child_fd);
    }
    if (!good) {
        return fail(Errc::invalid_argument, "a descriptor for the child is not open");
    }
    for (int fd = STDERR_FILENO + 1; fd < above; ++fd) {
        if (std::ranges::find(command.inherit, fd, &InheritedFd::child_fd) ==
            command.inherit.end()) {
            ::posix_spawn_file_actions_addclose(actions.get(), fd);
        }
    }
    ::posix_spawn_file_actions_addclosefrom_np(actions.get(), above);
    if (!command.cwd.empty()) {
        ::posix_spawn_file_actions_addchdir_np(actions.get(), command.cwd.c_str());
    }
    return {};
}

/// posix_spawn() has no such attributes, so they come when the program has begun.
void restrict(pid_t pid, const Command& command) {
    for (const ResourceLimit& wanted : command.limits) {
        const auto resource = static_cast<__rlimit_resource>(wanted.resource);
        rlimit limit{};
        if (::prlimit(pid, resource, nullptr, &limit) == 0) {
            limit.rlim_cur = std::min<rlim_t>(wanted.value, limit.rlim_max);
            ::prlimit(pid, resource, &limit, nullptr);
        }
    }
    if (command.oom_score_adj) {
        const std::string path = "/proc/" + std::to_string(pid) + "/oom_score_adj";
        const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
        const std::string text = std::to_string(*command.oom_score_adj);
        const ssize_t wrote = ::write(file.get(), text.data(), text.size());
        (void)wrote; // refused below what an administrator has set: it keeps that
    }
}

Errc kind_of(int error) {
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return Errc::not_found;
    case EACCES:
    case EPERM:
        return Errc::forbidden;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return Errc::resources;
    default:
        return Errc::io;
    }
}

} // namespace

Result<pid_t> spawn_process(const Command& command) {
    if (auto checked = check(command); !checked) {
        return error_of(checked);
    }
    FileActions actions;
    std::vector<UniqueFd> copies;
    if (auto planned = plan_files(command, actions, copies); !planned) {
        return error_of(planned);
    }
    const Attributes attributes(command);
    const std::vector<char*> argv = pointers(command.args, &command.program);
    const std::vector<char*> envp = pointers(command.env, nullptr);
    pid_t pid = -1;
    const CpuScope cpus(command.cpus); // what is started inherits it, from its first instruction
    const int error = ::posix_spawnp(
        &pid, command.program.c_str(), actions.get(), attributes.get(), argv.data(), envp.data()
    );
    if (error != 0) {
        return fail(
            kind_of(error),
            "cannot start " + command.program + ": " + std::generic_category().message(error)
        );
    }
    restrict(pid, command);
    return pid;
}

} // namespace rbee::process
