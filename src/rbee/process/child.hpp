#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/process/command.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::process {

/// What a process used up over its life, as the kernel counted it; with its children that it had
/// waited for.
struct Usage {
    Duration user{};
    Duration system{};
    std::uint64_t peak_bytes = 0;   ///< Largest resident size.
    std::uint64_t major_faults = 0; ///< Pages that had to be read from disk.
};

/// How a process ended: by a code or by a signal; neither when somebody else reaped it.
struct ExitStatus {
    std::optional<int> code;
    std::optional<int> signal;
    bool core_dumped = false;
    std::optional<Usage> usage = {}; ///< Of processes that we reaped ourselves.

    /// "exit code 1", "killed by signal 9 (SIGKILL)".
    [[nodiscard]] std::string describe() const;
    [[nodiscard]] bool success() const { return code == 0; }
};

/// What stop() had to do.
enum class StopStep {
    already_ended,
    terminated, ///< It obeyed SIGTERM.
    killed,     ///< It needed SIGKILL.
    stuck,      ///< It is still there after SIGKILL (in the kernel); it is reaped when it goes.
};

/// The step that ended a process, in lower snake case.
[[nodiscard]] std::string_view to_string(StopStep step);

struct StopOutcome {
    StopStep step = StopStep::already_ended;
    ExitStatus status; ///< Empty when stuck.
    Duration took{};
};

/// A process of ours. It is reaped as soon as it ends, with or without a waiter. Belongs to one
/// event loop, which must outlive it; not thread-safe.
class Child {
public:
    /// Starts a process. Errc::not_found for a missing program or folder, Errc::forbidden for one
    /// that may not be executed, Errc::invalid_argument for bad descriptors, Errc::resources or
    /// Errc::io otherwise.
    [[nodiscard]] static Result<std::unique_ptr<Child>>
    spawn(const boost::asio::any_io_executor& executor, const Command& command);

    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    /// Kills the process (its whole group if it has its own) and waits until it is gone, unless it
    /// ended or was detached.
    ~Child();

    [[nodiscard]] pid_t pid() const;

    /// Waits for the end. Any number of coroutines may wait. Throws
    /// system_error(operation_aborted) when cancelled.
    [[nodiscard]] boost::asio::awaitable<ExitStatus> wait();
    /// The same with a limit; nothing when the process still runs then.
    [[nodiscard]] boost::asio::awaitable<std::optional<ExitStatus>> wait_until(TimePoint due);

    /// Errc::not_found when the process has ended.
    [[nodiscard]] Result<void> send_signal(int signal);
    /// SIGKILL for the process, or its whole group if it has its own.
    void kill();

    /// SIGTERM, after `grace_term` SIGKILL, then at most `grace_kill` until it is gone.
    [[nodiscard]] boost::asio::awaitable<StopOutcome>
    stop(Duration grace_term, Duration grace_kill);

    /// Asks the kernel now.
    [[nodiscard]] bool running();
    /// How it ended, or nothing while it runs.
    [[nodiscard]] std::optional<ExitStatus> exit_status();

    /// Lets the process live on when this object goes.
    void detach();

private:
    struct State;
    explicit Child(std::shared_ptr<State> state);
    [[nodiscard]] static boost::asio::awaitable<std::optional<ExitStatus>>
    wait_on(std::shared_ptr<State> state, TimePoint due);
    std::shared_ptr<State> state_;
};

} // namespace rbee::process
