#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace rbee::engine {

/// Runs jobs that block, in the order of their posting. Threads come into being when no idle one is
/// left, up to a limit, and stay. Thread-safe.
class ThreadPool {
public:
    using Job = std::function<void()>;

    struct Limits {
        std::size_t threads = 1;
        std::size_t waiting = 1; ///< Jobs that no thread has taken yet.
    };

    /// `name` shows in debuggers and top; at most 12 characters.
    ThreadPool(std::string name, Limits limits);
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    ~ThreadPool();

    /// False when too many jobs wait or the pool has stopped. Jobs must not throw.
    [[nodiscard]] bool post(Job job);

    /// Refuses new jobs, runs all that wait, and joins. Safe to repeat.
    void stop();

private:
    void run();
    [[nodiscard]] bool start_thread();

    const std::string name_;
    const Limits limits_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job> jobs_;
    std::vector<std::thread> threads_;
    std::size_t idle_ = 0;
    bool stopped_ = false;
};

/// Gives the calling thread a name of at most 15 characters.
void name_this_thread(const std::string& name);

} // namespace rbee::engine
