#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace rbee::runtime {

/// Owns background coroutines and joins them. Make it the last member of the object whose members
/// the tasks use, and `co_await stop()` before that object goes. Belongs to one event loop.
class TaskGroup {
public:
    /// Hears of a task that ended with an exception other than its own cancellation.
    using Report = std::function<void(std::string_view name, std::exception_ptr failure)>;

    TaskGroup(boost::asio::any_io_executor executor, Report report);
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    /// Tasks may be left only when the loop has ended: running ones would use what is gone.
    ~TaskGroup();

    /// Runs `task` on the loop; it begins at the loop's next turn or at once, whatever the loop
    /// likes. Once stop() or cancel() was called the task is dropped unstarted; then returns false.
    bool start(boost::asio::awaitable<void> task, std::string name);

    /// Asks every task to end (asio cancellation, terminal) and takes no new ones.
    void cancel();

    /// Waits until no task runs, also when the caller itself is cancelled meanwhile. Never call it
    /// from a task of this group.
    [[nodiscard]] boost::asio::awaitable<void> join();

    /// cancel() and join().
    [[nodiscard]] boost::asio::awaitable<void> stop();

    [[nodiscard]] std::size_t count() const;

private:
    struct State;
    struct Entry;
    std::shared_ptr<State> state_;
};

} // namespace rbee::runtime
