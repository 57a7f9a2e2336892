#include "rbee/base/cancel.hpp"
#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/generation.hpp"
#include "rbee/engine/llama_engine.hpp"
#include "rbee/engine/llama_generation.hpp"
#include "rbee/engine/llama_request.hpp"
#include "rbee/engine/llama_stats.hpp"
#include "rbee/engine/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::engine {
namespace {

// Every generation gives one end; more than this at once is a caller without admission control,
// which then waits for the sink itself.
constexpr std::size_t ends_waiting_max = 65'536;

// Longer than any step between two decodes should take, shorter than anyone notices.
constexpr std::chrono::milliseconds stats_patience{20};

End error_end(Error error) {
    End end;
    end.stop = StopReason::error;
    end.error = std::move(error);
    return end;
}

End cancelled_end(CancelReason reason) {
    End end;
    end.stop = StopReason::cancelled;
    end.cancel_reason = reason;
    return end;
}

} // namespace

std::unique_ptr<Engine> make_llama_engine() {
    return std::make_unique<LlamaEngine>();
}

LlamaEngine::LlamaEngine()
    : end_pool_(std::make_unique<ThreadPool>(
          "rbee-end", ThreadPool::Limits{.threads = 1, .waiting = ends_waiting_max}
      )) {}

LlamaEngine::~LlamaEngine() {
    stop();
}

void LlamaEngine::start(GenerationRequest request, std::shared_ptr<GenerationSink> sink) {
    // Forgotten before the end is known, so that the caller may then use the id again.
    auto generation = std::make_shared<Generation>(
        std::move(request), std::move(sink), [this](const Generation& ending) { remove(ending); }
    );
    if (auto added = add(generation); !added) {
        finish_soon([generation, error = std::move(added.error())] {
            generation->finish(error_end(error));
        });
    }
}

Result<void> LlamaEngine::add(const GenerationPtr& generation) {
    const std::string& id = generation->request().id;
    const std::lock_guard lock(mutex_);
    if (state_ != State::serving) {
        return fail(Errc::unavailable, "the engine is not serving");
    }
    if (failed_) {
        return fail(Errc::unavailable, "the inference loop has failed");
    }
    if (running_.contains(id)) {
        return fail(Errc::conflict, "a generation with id " + id + " is running");
    }
    // Posted inside the lock: whatever stop() finds in running_ is also in the pool.
    if (!generation_pool_->post([this, generation] { run(generation); })) {
        return fail(Errc::busy, "too many generations wait");
    }
    running_.emplace(id, generation);
    return {};
}

void LlamaEngine::run(const GenerationPtr& generation) {
    const TaskContext context{
        .params = params_,
        .meta = *meta_,
        .vocab = vocab_,
        .activity = *activity_,
        .allow_remote_images = allow_remote_images_,
    };
    run_generation(*generation, *server_, context, generated_tokens_);
}

void LlamaEngine::remove(const Generation& generation) {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(generation.request().id);
    if (found != running_.end() && found->second.get() == &generation) {
        running_.erase(found);
    }
}

void LlamaEngine::cancel(std::string_view id, CancelReason reason) {
    GenerationPtr generation;
    {
        const std::lock_guard lock(mutex_);
        const auto found = running_.find(id);
        if (found == running_.end()) {
            return;
        }
        generation = found->second;
    }
    stop_generation(generation, cancelled_end(reason));
}

void LlamaEngine::stop_generation(const GenerationPtr& generation, End end) {
    if (generation->stop(std::move(end))) {
        finish_soon([generation] { generation->finish_stopped(); });
    }
}

void LlamaEngine::finish_soon(const std::function<void()>& finish) {
    if (!end_pool_->post(finish)) {
        finish();
    }
}

void LlamaEngine::stop_all(const End& end) {
    for (const GenerationPtr& generation : running()) {
        stop_generation(generation, end);
    }
}

std::vector<LlamaEngine::GenerationPtr> LlamaEngine::running() const {
    const std::lock_guard lock(mutex_);
    std::vector<GenerationPtr> all;
    all.reserve(running_.size());
    for (const auto& [id, generation] : running_) {
        all.push_back(generation);
    }
    return all;
}

Stats LlamaEngine::stats() {
    Stats stats;
    stats.failed = failed_;
    stats.generated_tokens_total = generated_tokens_;
    if (state_ == State::empty) {
        return stats;
    }
    const LoopStats loop = sampler_->sample(stats_patience).stats;
    std::uint32_t posted = 0;
    for (const GenerationPtr& generation : running()) {
        const auto tasks = static_cast<std::uint32_t>(generation->posted_tasks());
        posted += tasks;
        if (tasks == 0 && !generation->stopped()) {
            ++stats.requests_waiting;
        }
    }
    stats.slots_total = static_cast<std::uint32_t>(params_.n_parallel);
    stats.slots_busy = loop.slots_busy;
    // Tasks can wait in two places of llama.cpp, of which it reports one.
    stats.requests_waiting +=
        std::max(loop.tasks_deferred, posted - std::min(posted, loop.slots_busy));
    stats.prompt_tokens_total = loop.prompt_tokens;
    // Ours grows with each streamed token; the loop's also knows cancelled ones, but later.
    stats.generated_tokens_total = std::max(stats.generated_tokens_total, loop.generated_tokens);
    stats.decode_steps_total = loop.decode_steps;
    return stats;
}

void LlamaEngine::run_loop() {
    name_this_thread("rbee-inference");
    std::string problem = "the inference loop ended";
    try {
        server_->start_loop();
    } catch (const std::exception& error) {
        problem = error.what();
    } catch (...) {
        problem = "unknown exception";
    }
    if (state_ == State::stopped) {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        failed_ = true;
    }
    stop_all(error_end({Errc::internal, "the inference loop has failed: " + problem}));
}

void LlamaEngine::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (state_.exchange(State::stopped) != State::serving) {
            return;
        }
    }
    stop_all(cancelled_end(CancelReason::shutdown));
    generation_pool_->stop();
    call_pool_->stop();
    end_pool_->stop();
    unload();
}

} // namespace rbee::engine
