#pragma once

#include "rbee/base/result.hpp"
#include "rbee/process/child.hpp"
#include "rbee/process/command.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>

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
};

/// Starts real processes. Belongs to one loop.
class ChildLauncher final : public Launcher {
public:
    explicit ChildLauncher(boost::asio::any_io_executor executor)
        : executor_(std::move(executor)) {}
    [[nodiscard]] Result<std::unique_ptr<WorkerProcess>> start(const process::Command& command
    ) override;

private:
    boost::asio::any_io_executor executor_;
};

} // namespace rbee::hive
