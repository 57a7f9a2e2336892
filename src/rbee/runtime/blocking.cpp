#include "rbee/runtime/blocking.hpp"

#include <pthread.h>

namespace rbee::runtime {

BlockingPool::BlockingPool(std::size_t threads, const std::string& name, std::size_t queue_max)
    : queue_max_(queue_max) {
    RBEE_ASSERT(threads > 0);
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
        std::thread& thread = threads_.emplace_back([this] { serve(); });
        ::pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
    }
}

BlockingPool::~BlockingPool() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

std::size_t BlockingPool::queued() const {
    const std::scoped_lock lock(mutex_);
    return queue_.size();
}

bool BlockingPool::full() const {
    return queued() >= queue_max_;
}

void BlockingPool::submit(Job job) {
    {
        const std::scoped_lock lock(mutex_);
        RBEE_ASSERT(!stopping_);
        queue_.push_back(std::move(job));
    }
    changed_.notify_one();
}

void BlockingPool::serve() {
    while (true) {
        Job job;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) {
                return;
            }
            job = std::move(queue_.front());
            queue_.pop_front();
        }
        job();
    }
}

} // namespace rbee::runtime
