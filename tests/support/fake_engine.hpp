#pragma once

#include "rbee/base/cancel.hpp"
#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace rbee::test {

/// What the fake engine does with a generation. The body chooses it by name; see FakeEngine.
struct Script {
    std::vector<engine::Chunk> chunks;
    engine::End end;
    /// Chunks that are given at once; the others wait for FakeEngine::advance(). All by default.
    std::size_t free_chunks = SIZE_MAX;
    /// Without the end, the generation runs until it is cancelled.
    bool ends = true;
};

/// A scripted Engine without a model: no slots, no scheduling, every generation on its own thread.
/// Like the real one it calls sinks from its own threads, in order, with one end each.
class FakeEngine final : public engine::Engine {
public:
    FakeEngine() = default;
    FakeEngine(const FakeEngine&) = delete;
    FakeEngine& operator=(const FakeEngine&) = delete;
    ~FakeEngine() override { stop(); }

    /// How generations whose body is `body` go; set before they start. Any other body gives
    /// `fallback`.
    void script(std::string body, Script script) {
        const std::lock_guard lock(mutex_);
        scripts_[std::move(body)] = std::move(script);
    }
    void set_fallback(Script script) {
        const std::lock_guard lock(mutex_);
        fallback_ = std::move(script);
    }
    /// Lets generation `id` give `chunks` more, which may be asked for before it starts.
    void advance(const std::string& id, std::size_t chunks = 1) {
        const std::lock_guard lock(mutex_);
        allowed_[id] += chunks;
        changed_.notify_all();
    }
    /// What load() answers.
    void set_load_result(Result<engine::ModelInfo> result) { load_result_ = std::move(result); }
    /// What call() answers.
    void set_reply(engine::Route route, engine::Reply reply) {
        const std::lock_guard lock(mutex_);
        replies_[route] = std::move(reply);
    }
    void set_stats(const engine::Stats& stats) {
        const std::lock_guard lock(mutex_);
        stats_ = stats;
    }

    /// Every generation asked for so far, in order.
    [[nodiscard]] std::vector<engine::GenerationRequest> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    /// Every cancel() so far, unknown ids included.
    [[nodiscard]] std::vector<std::pair<std::string, CancelReason>> cancels() const {
        const std::lock_guard lock(mutex_);
        return cancels_;
    }
    /// Waits until `count` generations were asked for; false after `patience`.
    [[nodiscard]] bool wait_requests(
        std::size_t count, std::chrono::milliseconds patience = std::chrono::seconds(10)
    ) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [&] { return requests_.size() >= count; });
    }

    Result<engine::ModelInfo>
    load(const engine::LoadOptions& options, ProgressFn progress) override {
        if (progress && load_result_) {
            progress({.fraction = 0.5F, .layers_loaded = 1, .layers_total = 2});
            progress({.fraction = 1.0F, .layers_loaded = 2, .layers_total = 2});
        }
        const std::lock_guard lock(mutex_);
        stats_.slots_total = options.slots;
        return load_result_;
    }

    void start(engine::GenerationRequest request, std::shared_ptr<engine::GenerationSink> sink)
        override {
        const std::lock_guard lock(mutex_);
        const std::string id = request.id;
        const auto found = scripts_.find(request.body);
        Script script = found == scripts_.end() ? fallback_ : found->second;
        requests_.push_back(std::move(request));
        auto cancelled = std::make_shared<Cancelled>();
        running_[id] = cancelled;
        threads_.emplace_back([this, id, script = std::move(script), sink, cancelled] {
            run(id, script, *sink, *cancelled);
        });
        changed_.notify_all();
    }

    void cancel(std::string_view id, CancelReason reason) override {
        const std::lock_guard lock(mutex_);
        cancels_.emplace_back(id, reason);
        if (const auto found = running_.find(std::string(id)); found != running_.end()) {
            cancel(*found->second, reason);
        }
    }

    void call(engine::Call call, ReplyFn done) override {
        const std::lock_guard lock(mutex_);
        const auto found = replies_.find(call.route);
        engine::Reply reply{.status = 200, .content_type = "application/json", .body = "{}"};
        if (found != replies_.end()) {
            reply = found->second;
        }
        threads_.emplace_back([done = std::move(done), reply = std::move(reply)] { done(reply); });
    }

    engine::Stats stats() override {
        const std::lock_guard lock(mutex_);
        engine::Stats stats = stats_;
        stats.slots_busy = static_cast<std::uint32_t>(running_.size());
        return stats;
    }

    void stop() override {
        std::vector<std::thread> threads;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [id, cancelled] : running_) {
                cancel(*cancelled, CancelReason::shutdown);
            }
            threads.swap(threads_);
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
    }

private:
    struct Cancelled {
        bool yes = false;
        CancelReason reason = CancelReason::requested;
    };

    void cancel(Cancelled& cancelled, CancelReason reason) {
        if (!std::exchange(cancelled.yes, true)) {
            cancelled.reason = reason;
        }
        changed_.notify_all();
    }

    void
    run(const std::string& id,
        const Script& script,
        engine::GenerationSink& sink,
        const Cancelled& cancelled) {
        for (std::size_t i = 0; i < script.chunks.size(); ++i) {
            if (!wait(cancelled, [&] { return i < script.free_chunks || take_allowance(id); })) {
                finish(id, sink, cancelled_end(cancelled));
                return;
            }
            sink.on_chunk(script.chunks[i]);
        }
        const bool ended = wait(cancelled, [&] { return script.ends; });
        finish(id, sink, ended ? script.end : cancelled_end(cancelled));
    }

    /// Waits for `ready`; false when the generation is cancelled.
    bool wait(const Cancelled& cancelled, const std::function<bool()>& ready) {
        std::unique_lock lock(mutex_);
        bool is_ready = false;
        changed_.wait(lock, [&] { return cancelled.yes || (is_ready = ready()); });
        return is_ready;
    }

    /// With the lock held.
    bool take_allowance(const std::string& id) {
        std::size_t& allowed = allowed_[id];
        if (allowed == 0) {
            return false;
        }
        --allowed;
        return true;
    }

    engine::End cancelled_end(const Cancelled& cancelled) {
        const std::lock_guard lock(mutex_);
        engine::End end;
        end.stop = engine::StopReason::cancelled;
        end.cancel_reason = cancelled.reason;
        return end;
    }

    void finish(const std::string& id, engine::GenerationSink& sink, engine::End end) {
        {
            const std::lock_guard lock(mutex_);
            running_.erase(id);
        }
        sink.on_end(std::move(end));
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Result<engine::ModelInfo> load_result_{
        engine::ModelInfo{.description = "fake", .layers = 2, .slots = 1}
    };
    std::map<std::string, Script> scripts_;
    Script fallback_;
    std::map<engine::Route, engine::Reply> replies_;
    engine::Stats stats_;
    std::map<std::string, std::shared_ptr<Cancelled>> running_;
    std::map<std::string, std::size_t> allowed_;
    std::vector<engine::GenerationRequest> requests_;
    std::vector<std::pair<std::string, CancelReason>> cancels_;
    std::vector<std::thread> threads_;
};

} // namespace rbee::test
