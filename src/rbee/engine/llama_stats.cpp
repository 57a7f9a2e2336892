#include "rbee/engine/llama_stats.hpp"

#include "rbee/engine/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>

#include "server-context.h"
#include "server-queue.h"
#include "server-task.h"

namespace rbee::engine {

LoopSampler::LoopSampler(server_context& server, Activity& activity)
    : server_(server), activity_(activity), thread_([this] { run(); }) {}

LoopSampler::~LoopSampler() {
    stop();
}

void LoopSampler::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wanted_cv_.notify_all();
    taken_cv_.notify_all();
    if (thread_.joinable()) {
        thread_.join();
    }
}

LoopSampler::Sample LoopSampler::sample(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    const std::uint64_t mine = ++wanted_;
    wanted_cv_.notify_one();
    taken_cv_.wait_for(lock, patience, [&] { return taken_ >= mine || stopping_; });
    return {.stats = stats_, .fresh = taken_ >= mine};
}

void LoopSampler::run() {
    name_this_thread("rbee-stats");
    std::unique_lock lock(mutex_);
    while (true) {
        wanted_cv_.wait(lock, [this] { return stopping_ || wanted_ > taken_; });
        if (stopping_) {
            return;
        }
        const std::uint64_t answering = wanted_;
        LoopStats stats;
        lock.unlock();
        const bool answered = ask(stats);
        lock.lock();
        if (answered) {
            activity_.step(stats.decode_steps - stats_.decode_steps);
            stats_ = stats;
            taken_ = answering;
            taken_cv_.notify_all();
        }
    }
}

bool LoopSampler::ask(LoopStats& stats) {
    server_response_reader reader = server_.get_response_reader();
    server_task task(SERVER_TASK_TYPE_METRICS);
    task.id = reader.get_new_id();
    reader.post_task(std::move(task), true);
    const auto result = reader.next([this] { return stopping_.load(); });
    const auto* metrics = dynamic_cast<const server_task_result_metrics*>(result.get());
    if (metrics == nullptr) {
        return false;
    }
    stats.slots_busy = static_cast<std::uint32_t>(std::max(metrics->n_processing_slots, 0));
    stats.tasks_deferred = static_cast<std::uint32_t>(std::max(metrics->n_tasks_deferred, 0));
    stats.prompt_tokens = metrics->metrics.prompt.count;
    stats.generated_tokens = metrics->metrics.predict.count;
    stats.decode_steps = metrics->metrics.n_decode;
    return true;
}

} // namespace rbee::engine
