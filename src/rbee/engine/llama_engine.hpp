#pragma once

#include "rbee/base/activity.hpp"
#include "rbee/base/cancel.hpp"
#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/generation.hpp"
#include "rbee/engine/llama_request.hpp"
#include "rbee/engine/llama_stats.hpp"
#include "rbee/engine/thread_pool.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common.h"
#include "llama.h"
#include "server-context.h"

namespace rbee::engine {

/// Engine on llama.cpp's server_context: its loop thread schedules and decodes, our pool threads
/// read bodies and results. See README.md for who runs where.
class LlamaEngine final : public Engine {
public:
    LlamaEngine();
    ~LlamaEngine() override;

    [[nodiscard]] Result<ModelInfo> load(const LoadOptions& options, ProgressFn progress) override;
    void start(GenerationRequest request, std::shared_ptr<GenerationSink> sink) override;
    void cancel(std::string_view id, CancelReason reason) override;
    void call(Call call, ReplyFn done) override;
    [[nodiscard]] Stats stats() override;
    void stop() override;

private:
    using GenerationPtr = std::shared_ptr<Generation>;

    // llama_load.cpp
    [[nodiscard]] Result<void> load_model(const LoadOptions& options);
    [[nodiscard]] Result<void> start_loop();
    void fix_up_parameters(const LoadOptions& options);
    void show_activity();
    void run_loop();
    void unload();
    [[nodiscard]] ModelInfo model_info() const;

    // engine_llama.cpp
    [[nodiscard]] Result<void> add(const GenerationPtr& generation);
    void remove(const Generation& generation);
    void run(const GenerationPtr& generation);
    void stop_generation(const GenerationPtr& generation, End end);
    void stop_all(const End& end);
    void finish_soon(const std::function<void()>& finish);
    [[nodiscard]] std::vector<GenerationPtr> running() const;

    // llama_routes.cpp
    [[nodiscard]] Reply answer(const Call& call);

    enum class State : std::uint8_t { empty, serving, stopped };
    std::atomic<State> state_ = State::empty;
    std::atomic<bool> failed_ = false;

    Activity unseen_; ///< Used when nobody watches.
    Activity* activity_ = &unseen_;
    common_params params_;
    bool allow_remote_images_ = false;       ///< Constant once loaded.
    std::unique_ptr<server_context> server_; ///< After params_, which its routes refer to.
    std::unique_ptr<server_routes> routes_;
    std::unique_ptr<const server_context_meta> meta_;
    const llama_vocab* vocab_ = nullptr;
    std::thread loop_;
    std::unique_ptr<LoopSampler> sampler_;

    mutable std::mutex mutex_;
    std::map<std::string, GenerationPtr, std::less<>> running_;
    std::atomic<std::uint64_t> generated_tokens_ = 0;

    std::unique_ptr<ThreadPool> generation_pool_;
    std::unique_ptr<ThreadPool> call_pool_;
    std::unique_ptr<ThreadPool> end_pool_; ///< Gives ends while all generation threads wait.
};

} // namespace rbee::engine
