#pragma once

#include "rbee/base/result.hpp"
#include "rbee/process/cgroup.hpp"
#include "rbee/process/child.hpp"
#include "rbee/process/command.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace rbee::hive {

/// A running worker process, as the supervisor needs it.
class WorkerProcess {
public:
    virtual ~WorkerProcess() = default;
    [[nodiscard]] virtual std::int64_t pid() const = 0;
    /// Does nothing when the process has ended. SIGKILL reaches its whole group.
    virtual void send(int signal) = 0;
    /// Returns when the process has ended and is reaped.
    [[nodiscard]] virtual boost::asio::awaitable<process::ExitStatus> wait() = 0;
};

/// Starts worker processes.
class Launcher {
public:
    virtual ~Launcher() = default;
    /// The command's descriptors are only borrowed for the call.
    [[nodiscard]] virtual Result<std::unique_ptr<WorkerProcess>>
    start(const process::Command& command) = 0;
    /// Whether a process that has ended was killed for passing its memory limit: a sentence with
    /// the number; nothing otherwise. Known for the last few of them.
    [[nodiscard]] virtual std::optional<std::string> memory_verdict(std::int64_t pid) const {
        (void)pid;
        return std::nullopt;
    }
};

/// Starts real processes. Belongs to one loop.
class ChildLauncher final : public Launcher {
public:
    explicit ChildLauncher(boost::asio::any_io_executor executor)
        : executor_(std::move(executor)) {}

    /// From now on each process gets a group of at most `limit_bytes` of memory. Errc::unsupported,
    /// with the reason, where the system does not let us make any.
    [[nodiscard]] Result<void> limit_memory(std::uint64_t limit_bytes);

    [[nodiscard]] Result<std::unique_ptr<WorkerProcess>> start(const process::Command& command
    ) override;

    [[nodiscard]] std::optional<std::string> memory_verdict(std::int64_t pid) const override;

private:
    class ChildProcess;
    /// What is told of processes after their end; theirs, so that they may outlive the launcher.
    struct Verdicts {
        std::deque<std::pair<std::int64_t, std::string>> latest; ///< Newest last.
    };
    [[nodiscard]] std::optional<process::MemoryGroup> make_group(pid_t pid);

    boost::asio::any_io_executor executor_;
    std::optional<process::MemoryGroups> groups_;
    std::uint64_t limit_bytes_ = 0;
    std::shared_ptr<Verdicts> verdicts_ = std::make_shared<Verdicts>();
};

} // namespace rbee::hive
