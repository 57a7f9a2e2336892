#pragma once

#include "rbee/engine/engine.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace rbee::tools {

/// An engine without a model that misbehaves on request; see README.md. Thread-safe as Engine says.
class BadEngine final : public engine::Engine {
public:
    BadEngine() = default;
    BadEngine(const BadEngine&) = delete;
    BadEngine& operator=(const BadEngine&) = delete;
    ~BadEngine() override { stop(); }

    [[nodiscard]] Result<engine::ModelInfo>
    load(const engine::LoadOptions& options, ProgressFn progress) override;
    void
    start(engine::GenerationRequest request, std::shared_ptr<engine::GenerationSink> sink) override;
    void cancel(std::string_view id, CancelReason reason) override;
    void call(engine::Call call, ReplyFn done) override;
    /// Never returns once the engine is to be deaf: the worker's event loop calls it.
    [[nodiscard]] engine::Stats stats() override;
    void stop() override;

private:
    void load_slowly(double seconds, const ProgressFn& progress);
    void run(const engine::GenerationRequest& request, engine::GenerationSink& sink);
    void misbehave(const std::string& body);
    [[nodiscard]] bool cancelled(const std::string& id);

    Activity unseen_;
    Activity* activity_ = &unseen_;
    std::uint32_t slots_ = 1;
    std::vector<std::byte> resident_;
    std::atomic<bool> deaf_ = false;
    std::mutex mutex_;
    std::set<std::string, std::less<>> cancelled_;
    std::vector<std::thread> threads_;
};

} // namespace rbee::tools
