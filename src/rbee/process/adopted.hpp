#pragma once

#include "rbee/base/result.hpp"
#include "rbee/process/child.hpp"
#include "rbee/process/process_stat.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

namespace rbee::process {

/// Differs after each start of the machine; empty where the system does not tell.
[[nodiscard]] std::string boot_id();

/// A running process that somebody else started, watched by a pidfd: what happens to it here never
/// happens to another process that got its number. Destroying this leaves the process alone.
/// Belongs to one event loop, which must outlive it; not thread-safe.
class AdoptedProcess {
public:
    /// Errc::not_found when no process of this number runs, or one that began at another time.
    [[nodiscard]] static Result<std::unique_ptr<AdoptedProcess>>
    open(const boost::asio::any_io_executor& executor, pid_t pid, std::uint64_t start_ticks);

    AdoptedProcess(const AdoptedProcess&) = delete;
    AdoptedProcess& operator=(const AdoptedProcess&) = delete;
    ~AdoptedProcess();

    [[nodiscard]] pid_t pid() const;
    [[nodiscard]] bool running() const;
    /// Does nothing when it has ended. SIGKILL reaches its whole group, where the kernel can do
    /// that without a doubt about whose group it is (Linux 6.9).
    void send(int signal);
    /// Returns when it has ended, once what is left of its group is killed. How it ended only its
    /// parent is told; where the kernel tells others too, it is in the status. Any number of
    /// coroutines may wait. Throws system_error(operation_aborted) when cancelled.
    [[nodiscard]] boost::asio::awaitable<ExitStatus> wait();

private:
    struct State;
    explicit AdoptedProcess(std::shared_ptr<State> state);
    [[nodiscard]] static boost::asio::awaitable<ExitStatus> wait_on(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

/// The kernel kills this process as soon as the thread that started it has ended. Call it in the
/// main thread, first thing, and look afterwards whether the parent is there still. False when the
/// kernel refuses.
[[nodiscard]] bool die_with_parent();

} // namespace rbee::process
