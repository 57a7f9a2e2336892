#include "rbee/process/adopted.hpp"

#include "rbee/base/text.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/process/kernel_file.hpp"
#include "rbee/process/process_stat.hpp"
#include "rbee/runtime/quiet.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/error_code.hpp>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string_view>
#include <utility>

namespace rbee::process {

namespace asio = boost::asio;

namespace {

/// Newer than the headers of the systems that we build on: linux/pidfd.h.
constexpr unsigned pidfd_signal_process_group = 1U << 2U;
constexpr std::uint64_t pidfd_info_exit = 1U << 3U;
struct PidfdInfo {
    std::uint64_t mask = 0;
    std::uint64_t cgroup_id = 0;
    std::uint32_t ids[11] = {}; // NOLINT(modernize-avoid-c-arrays): as the kernel lays it out
    std::int32_t exit_code = 0;
};
constexpr auto pidfd_get_info = _IOWR(0xFF, 11, PidfdInfo);

int send_by(int pidfd, int signal, unsigned flags) {
    return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, flags));
}

ExitStatus status_of(int wait_status) {
    ExitStatus status{.code = std::nullopt, .signal = std::nullopt};
    if (WIFEXITED(wait_status)) {
        status.code = WEXITSTATUS(wait_status);
    } else if (WIFSIGNALED(wait_status)) {
        status.signal = WTERMSIG(wait_status);
        status.core_dumped = WCOREDUMP(wait_status);
    }
    return status;
}

} // namespace

std::string boot_id() {
    const auto text = read_kernel_file("/proc/sys/kernel/random/boot_id");
    return text ? std::string(trim(*text)) : std::string();
}

bool die_with_parent() {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): prctl has no other form
    return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

/// Shared with the pending wait for the pidfd and with the waiting coroutines.
struct AdoptedProcess::State : std::enable_shared_from_this<AdoptedProcess::State> {
    State(const asio::any_io_executor& executor, pid_t process, UniqueFd fd)
        : pid(process), pidfd(executor, fd.release()), timers(executor), changed(timers) {}

    void watch() {
        pidfd.async_wait(
            asio::posix::stream_descriptor::wait_read,
            [self = shared_from_this()](const boost::system::error_code& error) {
                if (error) {
                    return;
                }
                self->end();
            }
        );
    }

    void end() {
        exit = last_words();
        send_by(pidfd.native_handle(), SIGKILL, pidfd_signal_process_group);
        changed.notify_all();
    }

    /// Its parent may not have reaped it yet, or not at all; else a new kernel remembers.
    [[nodiscard]] ExitStatus last_words() {
        const auto stat = process_stat(pid);
        if (stat && stat->ended && stat->start_ticks == start_ticks) {
            const auto& code = stat->wait_status;
            return code ? status_of(static_cast<int>(*code)) : ExitStatus{};
        }
        PidfdInfo info{.mask = pidfd_info_exit};
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): ioctl has no other form
        const bool told = ::ioctl(pidfd.native_handle(), pidfd_get_info, &info) == 0 &&
                          (info.mask & pidfd_info_exit) != 0;
        return told ? status_of(info.exit_code) : ExitStatus{};
    }

    pid_t pid;
    std::uint64_t start_ticks = 0;
    asio::posix::stream_descriptor pidfd;
    std::optional<ExitStatus> exit;
    runtime::SystemTimers timers;
    runtime::Notifier changed; ///< It ended, or nobody watches it any more.
};

AdoptedProcess::AdoptedProcess(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<AdoptedProcess>>
AdoptedProcess::open(const asio::any_io_executor& executor, pid_t pid, std::uint64_t start_ticks) {
    UniqueFd pidfd = open_pidfd(pid);
    // Looked at after it is held: what is compared is what the descriptor stands for, or it ended.
    if (!pidfd.valid() || start_ticks_of(pid) != start_ticks) {
        return fail(Errc::not_found, "the process has ended");
    }
    auto state = std::make_shared<State>(executor, pid, std::move(pidfd));
    state->start_ticks = start_ticks;
    state->watch();
    return std::unique_ptr<AdoptedProcess>(new AdoptedProcess(std::move(state)));
}

AdoptedProcess::~AdoptedProcess() {
    runtime::close_quietly(state_->pidfd);
    state_->changed.notify_all();
}

pid_t AdoptedProcess::pid() const {
    return state_->pid;
}

bool AdoptedProcess::running() const {
    if (state_->exit) {
        return false;
    }
    pollfd end{.fd = state_->pidfd.native_handle(), .events = POLLIN, .revents = 0};
    return ::poll(&end, 1, 0) == 0;
}

void AdoptedProcess::send(int signal) {
    if (state_->exit) {
        return;
    }
    const int fd = state_->pidfd.native_handle();
    if (signal == SIGKILL) {
        send_by(fd, signal, pidfd_signal_process_group);
    }
    send_by(fd, signal, 0);
}

asio::awaitable<ExitStatus> AdoptedProcess::wait_on(std::shared_ptr<State> state) {
    while (!state->exit && state->pidfd.is_open()) {
        co_await state->changed.wait();
    }
    co_return state->exit.value_or(ExitStatus{});
}

asio::awaitable<ExitStatus> AdoptedProcess::wait() {
    return wait_on(state_);
}

} // namespace rbee::process
