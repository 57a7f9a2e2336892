#include "rbee/engine/generation.hpp"

#include "rbee/engine/engine.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "server-common.h"
#include "server-queue.h"
#include "server-task.h"

namespace rbee::engine {

Generation::Generation(
    GenerationRequest request, std::shared_ptr<GenerationSink> sink, EndingFn ending
)
    : request_(std::move(request)), sink_(std::move(sink)), ending_(std::move(ending)) {}

bool Generation::post(server_response_reader& reader, std::vector<server_task> tasks) {
    const std::lock_guard lock(task_mutex_);
    if (stop_end_) {
        return false;
    }
    reader_ = &reader;
    reader.post_tasks(std::move(tasks));
    task_ids_.assign(reader.id_tasks.begin(), reader.id_tasks.end());
    return true;
}

void Generation::release() {
    const std::lock_guard lock(task_mutex_);
    if (reader_ == nullptr) {
        return;
    }
    for (const int id : task_ids_) {
        // Drops results nobody will read, such as a wake-up that lost against the last result.
        reader_->queue_results.remove_waiting_task_id(id);
    }
    task_ids_.clear();
    reader_ = nullptr;
}

bool Generation::stop(End end) {
    const std::lock_guard lock(task_mutex_);
    if (stop_end_ || ended()) {
        return false;
    }
    stop_end_ = std::move(end);
    stopped_.store(true, std::memory_order_release);
    take_back_tasks();
    return true;
}

void Generation::take_back_tasks() {
    for (const int id : task_ids_) {
        // At the front of the queue: drops a waiting task now, frees a slot after the running step.
        server_task cancel(SERVER_TASK_TYPE_CANCEL);
        cancel.id = reader_->queue_tasks.get_new_id();
        cancel.id_target = id;
        reader_->queue_tasks.post(std::move(cancel), true);
    }
    if (!task_ids_.empty()) {
        // llama.cpp itself would look at a stop flag only after a second without any result.
        auto wake_up = std::make_unique<server_task_result_error>();
        wake_up->id = task_ids_.front();
        wake_up->err_type = ERROR_TYPE_UNAVAILABLE;
        wake_up->err_msg = "cancelled";
        reader_->queue_results.send(std::move(wake_up));
    }
}

void Generation::deliver(Chunk chunk) {
    const std::lock_guard lock(sink_mutex_);
    if (!stopped() && !ended()) {
        sink_->on_chunk(std::move(chunk));
    }
}

void Generation::note_progress(const Usage& usage, std::uint32_t seed) {
    const std::lock_guard lock(sink_mutex_);
    usage_ = usage;
    seed_ = seed;
}

void Generation::finish(End end) {
    const std::lock_guard lock(sink_mutex_);
    if (ended_.exchange(true, std::memory_order_acq_rel)) {
        return;
    }
    if (ending_) {
        ending_(*this);
    }
    sink_->on_end(std::move(end));
    sink_.reset();
}

void Generation::finish_stopped() {
    End end;
    {
        const std::lock_guard lock(task_mutex_);
        end = stop_end_.value_or(End{});
    }
    {
        const std::lock_guard lock(sink_mutex_);
        end.usage = usage_;
        end.seed = seed_;
    }
    finish(std::move(end));
}

std::size_t Generation::posted_tasks() const {
    const std::lock_guard lock(task_mutex_);
    return task_ids_.size();
}

} // namespace rbee::engine
