#pragma once

#include <atomic>
#include <cstdint>

namespace rbee {

/// Signs of life of an inference loop, for whoever watches from another process: all words are
/// free of locks and addresses, so they may lie in shared memory. Thread-safe.
struct Activity {
    /// Advanced by the inference loop alone while it works: for each part of a graph that it
    /// computed, each decode, each piece of a model that it loaded. Stands still when it hangs.
    std::atomic<std::uint64_t> steps = 0;
    /// Tasks that the loop owes an answer; when it is not 0, `steps` must advance.
    std::atomic<std::uint32_t> busy = 0;
    /// The longest that `steps` may stand still by nature, in milliseconds; 0: nothing special.
    std::atomic<std::uint32_t> patience_ms = 0;

    /// One step more. Relaxed: it is a sign, nothing is published with it.
    void step(std::uint64_t count = 1) { steps.fetch_add(count, std::memory_order_relaxed); }
};

/// One task that the loop owes an answer, for as long as it lives. Thread-safe.
class [[nodiscard]] ActivityTask {
public:
    explicit ActivityTask(Activity& activity) : activity_(activity) {
        activity_.busy.fetch_add(1, std::memory_order_relaxed);
    }
    ActivityTask(const ActivityTask&) = delete;
    ActivityTask& operator=(const ActivityTask&) = delete;
    ~ActivityTask() { activity_.busy.fetch_sub(1, std::memory_order_relaxed); }

private:
    Activity& activity_;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

} // namespace rbee
