#pragma once

#include "rbee/base/activity.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "server-context.h"

namespace rbee::engine {

/// Counters as the inference loop sees them.
struct LoopStats {
    std::uint32_t slots_busy = 0;
    std::uint32_t tasks_deferred = 0;
    std::uint64_t prompt_tokens = 0;
    std::uint64_t generated_tokens = 0; ///< Of finished generations.
    std::uint64_t decode_steps = 0;
};

/// Asks the inference loop for its counters on a thread of its own, so that a loop that hangs
/// costs the caller a bounded wait. Thread-safe.
class LoopSampler {
public:
    /// `server` must run its loop and outlive this, as `activity`, which learns of the decodes.
    LoopSampler(server_context& server, Activity& activity);
    LoopSampler(const LoopSampler&) = delete;
    LoopSampler& operator=(const LoopSampler&) = delete;
    ~LoopSampler();

    struct Sample {
        LoopStats stats;
        bool fresh = false; ///< Taken after the call began.
    };

    /// The current counters, or the last known ones when the loop does not answer in time.
    [[nodiscard]] Sample sample(std::chrono::milliseconds patience);

    /// Ends the thread; sample() then only gives the last known counters. Safe to repeat.
    void stop();

private:
    void run();
    [[nodiscard]] bool ask(LoopStats& stats);

    server_context& server_;
    Activity& activity_;
    std::mutex mutex_;
    std::condition_variable wanted_cv_;
    std::condition_variable taken_cv_;
    std::uint64_t wanted_ = 0; ///< Number of the last request.
    std::uint64_t taken_ = 0;  ///< Number of the last request that `stats_` answers.
    LoopStats stats_;
    std::atomic<bool> stopping_ = false;
    std::thread thread_;
};

} // namespace rbee::engine
