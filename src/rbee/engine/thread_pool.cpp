#include "rbee/engine/thread_pool.hpp"

#include <pthread.h>

#include <cstddef>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace rbee::engine {

void name_this_thread(const std::string& name) {
    // The kernel keeps 15 characters and refuses longer names.
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
}

ThreadPool::ThreadPool(std::string name, Limits limits) : name_(std::move(name)), limits_(limits) {}

ThreadPool::~ThreadPool() {
    stop();
}

bool ThreadPool::post(Job job) {
    {
        const std::lock_guard lock(mutex_);
        if (stopped_ || jobs_.size() >= limits_.waiting + idle_) {
            return false;
        }
        jobs_.push_back(std::move(job));
        if (jobs_.size() > idle_ && threads_.size() < limits_.threads && !start_thread()) {
            jobs_.pop_back();
            return false;
        }
    }
    wake_.notify_one();
    return true;
}

bool ThreadPool::start_thread() {
    const std::string thread_name = name_ + "-" + std::to_string(threads_.size());
    try {
        threads_.emplace_back([this, thread_name] {
            name_this_thread(thread_name);
            run();
        });
    } catch (const std::system_error&) {
        // The system is out of threads: fine as long as another one will take the job.
        return !threads_.empty();
    }
    return true;
}

void ThreadPool::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        ++idle_;
        wake_.wait(lock, [this] { return stopped_ || !jobs_.empty(); });
        --idle_;
        if (jobs_.empty()) {
            return;
        }
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
        // What the job holds may take locks when it goes away.
        job = nullptr;
        lock.lock();
    }
}

void ThreadPool::stop() {
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        threads.swap(threads_);
    }
    wake_.notify_all();
    for (std::thread& thread : threads) {
        thread.join();
    }
}

} // namespace rbee::engine
