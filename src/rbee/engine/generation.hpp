#pragma once

#include "rbee/engine/engine.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server-queue.h"
#include "server-task.h"

namespace rbee::engine {

/// One generation from start() to its end: stands between the thread that reads results, the
/// thread that cancels, and the sink. Thread-safe; the sink sees ordered calls and one end.
///
///     new --post()--> posted --finish()--> ended
///      `----stop()----> stopped --finish_stopped()--> ended      (also from posted)
class Generation {
public:
    using EndingFn = std::function<void(const Generation&)>;

    /// `ending` is called once, right before the sink gets its end.
    Generation(
        GenerationRequest request, std::shared_ptr<GenerationSink> sink, EndingFn ending = {}
    );

    [[nodiscard]] const GenerationRequest& request() const { return request_; }

    /// Hands the tasks to llama.cpp, or does nothing and returns false when already stopped.
    [[nodiscard]] bool post(server_response_reader& reader, std::vector<server_task> tasks);

    /// Lets go of the reader; must come before the reader dies. Safe to repeat.
    void release();

    /// Decides that the generation ends with `end`, takes its tasks from llama.cpp and wakes the
    /// reader. Returns false when it was stopped before. The caller then owes finish_stopped().
    [[nodiscard]] bool stop(End end);

    /// Stays true once true.
    [[nodiscard]] bool stopped() const { return stopped_.load(std::memory_order_acquire); }

    /// Passes a chunk on, unless the generation was stopped or has ended.
    void deliver(Chunk chunk);

    /// Remembers how far it got, for an end that comes from outside.
    void note_progress(const Usage& usage, std::uint32_t seed);

    /// Gives the sink its end, the first time only.
    void finish(End end);

    /// finish() with the end that stop() was given, completed by what note_progress() knows.
    void finish_stopped();

    [[nodiscard]] bool ended() const { return ended_.load(std::memory_order_acquire); }

    /// Tasks that llama.cpp has now; none before post() and after release().
    [[nodiscard]] std::size_t posted_tasks() const;

private:
    void take_back_tasks();

    const GenerationRequest request_;

    mutable std::mutex task_mutex_; ///< Guards what follows, and the order of post() and stop().
    server_response_reader* reader_ = nullptr;
    std::vector<int> task_ids_;
    std::optional<End> stop_end_;
    std::atomic<bool> stopped_ = false;

    std::mutex sink_mutex_; ///< Held during every call of the sink. Never taken inside task_mutex_.
    std::shared_ptr<GenerationSink> sink_;
    EndingFn ending_;
    Usage usage_;
    std::uint32_t seed_ = 0;
    std::atomic<bool> ended_ = false;
};

} // namespace rbee::engine
