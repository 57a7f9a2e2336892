#include "rbee/process/child.hpp"

#include "rbee/base/unique_fd.hpp"
#include "rbee/process/process_stat.hpp"
#include "rbee/process/spawn.hpp"
#include "rbee/runtime/quiet.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/error_code.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

namespace rbee::process {

namespace asio = boost::asio;

namespace {

int pidfd_send_signal(int pidfd, int signal) {
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0));
}

Duration length_of(const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

Usage usage_of(const rusage& used) {
    return {
        .user = length_of(used.ru_utime),
        .system = length_of(used.ru_stime),
        .peak_bytes = static_cast<std::uint64_t>(used.ru_maxrss) * 1024,
        .major_faults = static_cast<std::uint64_t>(used.ru_majflt),
    };
}

/// What waitid() gave.
struct Waited {
    siginfo_t info{};
    rusage used{};
};

ExitStatus status_of(const Waited& end) {
    ExitStatus status{.code = std::nullopt, .signal = std::nullopt};
    (end.info.si_code == CLD_EXITED ? status.code : status.signal) = end.info.si_status;
    status.core_dumped = end.info.si_code == CLD_DUMPED;
    status.usage = usage_of(end.used);
    return status;
}

/// waitid() at once; si_pid stays 0 while the process runs. False when no child is there.
/// The system call itself, because glibc's function does not tell what the process used.
bool wait_for(int pidfd, Waited& end, int options) {
    long result = 0;
    do {
        end = {};
        result = ::syscall(SYS_waitid, P_PIDFD, pidfd, &end.info, options | WNOHANG, &end.used);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

} // namespace

/// Shared with the pending wait for the pidfd and with the waiting coroutines.
struct Child::State : std::enable_shared_from_this<Child::State> {
    State(const asio::any_io_executor& executor, pid_t process, UniqueFd fd)
        : pid(process), pidfd(executor, fd.release()), timers(executor), ended(timers) {}

    void watch() {
        pidfd.async_wait(
            asio::posix::stream_descriptor::wait_read,
            [self = shared_from_this()](const boost::system::error_code& error) {
                if (!error && !self->reap()) {
                    self->watch();
                }
            }
        );
    }

    /// True once the process is gone and reaped. Does not wait.
    bool reap() {
        if (exit) {
            return true;
        }
        Waited end;
        const int fd = pidfd.native_handle();
        bool known = wait_for(fd, end, WEXITED | WNOWAIT);
        if (known && end.info.si_pid == 0) {
            return false;
        }
        if (known) {
            if (own_group && !detached) {
                // Until it is reaped the leader keeps the number of the group from being reused.
                ::kill(-pid, SIGKILL);
            }
            known = wait_for(fd, end, WEXITED);
        }
        exit = known ? status_of(end) : ExitStatus{};
        ended.notify_all();
        return true;
    }

    void kill() {
        if (exit) {
            return;
        }
        if (own_group) {
            ::kill(-pid, SIGKILL);
        }
        pidfd_send_signal(pidfd.native_handle(), SIGKILL);
    }

    pid_t pid;
    bool own_group = true;
    bool detached = false;
    asio::posix::stream_descriptor pidfd;
    std::optional<ExitStatus> exit;
    runtime::SystemTimers timers;
    runtime::Notifier ended;
};

std::string ExitStatus::describe() const {
    if (code) {
        return "exit code " + std::to_string(*code);
    }
    if (signal) {
        const char* name = ::sigabbrev_np(*signal);
        const std::string shown = name != nullptr ? std::string(" (SIG") + name + ")" : "";
        return "killed by signal " + std::to_string(*signal) + shown +
               (core_dumped ? ", core dumped" : "");
    }
    return "ended, nobody knows how";
}

std::string_view to_string(StopStep step) {
    switch (step) {
    case StopStep::already_ended:
        return "already_ended";
    case StopStep::terminated:
        return "terminated";
    case StopStep::killed:
        return "killed";
    case StopStep::stuck:
        break;
    }
    return "stuck";
}

Child::Child(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<Child>>
Child::spawn(const asio::any_io_executor& executor, const Command& command) {
    const Result<pid_t> pid = spawn_process(command);
    if (!pid) {
        return error_of(pid);
    }
    // The child is not reaped yet, so its number cannot have been reused.
    UniqueFd pidfd = open_pidfd(*pid);
    if (!pidfd.valid()) {
        const int error = errno;
        ::kill(*pid, SIGKILL);
        ::waitpid(*pid, nullptr, 0);
        return fail(
            Errc::resources, "cannot watch a new process: " + std::generic_category().message(error)
        );
    }
    auto state = std::make_shared<State>(executor, *pid, std::move(pidfd));
    state->own_group = command.own_group;
    state->watch();
    return std::unique_ptr<Child>(new Child(std::move(state)));
}

Child::~Child() {
    if (!state_->detached && !state_->exit) {
        state_->kill();
        // waitid() would not wait: asio has made the descriptor non-blocking
        pollfd end{.fd = state_->pidfd.native_handle(), .events = POLLIN, .revents = 0};
        while (!state_->reap()) {
            ::poll(&end, 1, -1);
        }
    }
    runtime::close_quietly(state_->pidfd);
    state_->ended.notify_all();
}

pid_t Child::pid() const {
    return state_->pid;
}

asio::awaitable<std::optional<ExitStatus>>
Child::wait_on(std::shared_ptr<State> state, TimePoint due) {
    while (!state->exit) {
        const bool notified = co_await state->ended.wait_until(due);
        if (!notified) {
            break;
        }
        if (!state->exit && !state->pidfd.is_open()) {
            co_return ExitStatus{}; // detached and given up
        }
    }
    co_return state->exit;
}

asio::awaitable<ExitStatus> Child::wait() {
    const std::optional<ExitStatus> status = co_await wait_on(state_, TimePoint::max());
    co_return status.value_or(ExitStatus{});
}

asio::awaitable<std::optional<ExitStatus>> Child::wait_until(TimePoint due) {
    return wait_on(state_, due);
}

Result<void> Child::send_signal(int signal) {
    if (state_->exit || pidfd_send_signal(state_->pidfd.native_handle(), signal) != 0) {
        const int error = state_->exit ? ESRCH : errno;
        return fail(
            error == ESRCH ? Errc::not_found : Errc::io,
            error == ESRCH ? "the process has ended"
                           : "cannot send a signal: " + std::generic_category().message(error)
        );
    }
    return {};
}

void Child::kill() {
    state_->kill();
}

asio::awaitable<StopOutcome> Child::stop(Duration grace_term, Duration grace_kill) {
    const std::shared_ptr<State> state = state_; // `this` may go while we wait
    const TimePoint begin = state->timers.clock().now();
    StopOutcome outcome;
    if (state->reap()) {
        outcome.status = state->exit.value_or(ExitStatus{});
        co_return outcome;
    }
    const Result<void> asked = send_signal(SIGTERM);
    (void)asked; // if it has just ended, the wait below says so
    outcome.step = StopStep::terminated;
    std::optional<ExitStatus> status = co_await wait_on(state, begin + grace_term);
    if (!status) {
        state->kill();
        outcome.step = StopStep::killed;
        status = co_await wait_on(state, state->timers.clock().now() + grace_kill);
    }
    if (!status) {
        outcome.step = StopStep::stuck;
    }
    outcome.status = status.value_or(ExitStatus{});
    outcome.took = state->timers.clock().now() - begin;
    co_return outcome;
}

bool Child::running() {
    return !state_->reap();
}

std::optional<ExitStatus> Child::exit_status() {
    state_->reap();
    return state_->exit;
}

void Child::detach() {
    state_->detached = true;
}

} // namespace rbee::process
