#include "bad_engine.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>

namespace rbee::tools {
namespace {

using namespace std::chrono_literals;

constexpr int words = 50;
constexpr int words_before_trouble = 3;
constexpr auto word_time = 20ms;

/// The `index`-th value behind `flag`, or nothing.
std::optional<std::string>
value_of(const std::vector<std::string>& arguments, std::string_view flag, int index = 1) {
    const auto at = std::ranges::find(arguments, flag);
    if (arguments.end() - at <= index) {
        return std::nullopt;
    }
    return at[index];
}

[[noreturn]] void sleep_for_ever() {
    while (true) {
        ::pause();
    }
}

[[noreturn]] void spin() {
    for (volatile std::uint64_t i = 0;;) {
        i = i + 1;
    }
}

engine::Chunk word_chunk(const engine::GenerationRequest& request) {
    engine::Chunk chunk;
    chunk.text = "word ";
    chunk.token_ids = {1};
    if (request.dialect != engine::Dialect::infer && request.stream) {
        chunk.wire = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";
    }
    return chunk;
}

engine::Chunk last_chunk(const engine::GenerationRequest& request) {
    engine::Chunk chunk;
    if (request.dialect != engine::Dialect::infer) {
        chunk.wire =
            request.stream
                ? "data: [DONE]\n\n"
                : R"({"choices":[{"index":0,"message":{"role":"assistant","content":"words"}}]})";
    }
    return chunk;
}

} // namespace

void BadEngine::load_slowly(double seconds, const ProgressFn& progress) {
    constexpr int parts = 100;
    for (int i = 1; i <= parts; ++i) {
        std::this_thread::sleep_for(std::chrono::duration<double>(seconds / parts));
        activity_->step();
        progress({.fraction = static_cast<float>(i) / parts});
    }
}

Result<engine::ModelInfo> BadEngine::load(const engine::LoadOptions& options, ProgressFn progress) {
    activity_ = options.activity != nullptr ? options.activity : &unseen_;
    slots_ = options.slots;
    const auto& arguments = options.engine_args;
    if (const auto mib = value_of(arguments, "--resident-mib")) {
        resident_.assign(std::stoul(*mib) << 20U, std::byte{1});
    }
    const std::string way = value_of(arguments, "--load").value_or("");
    progress({.fraction = 0.5F});
    if (way == "crash") {
        std::abort();
    }
    if (way == "hang") {
        sleep_for_ever();
    }
    if (way == "slow") {
        load_slowly(std::stod(value_of(arguments, "--load", 2).value_or("1")), progress);
    }
    deaf_ = std::ranges::find(arguments, "--deaf") != arguments.end();
    return engine::ModelInfo{.description = "none", .context_tokens = 512, .slots = slots_};
}

void BadEngine::start(
    engine::GenerationRequest request, std::shared_ptr<engine::GenerationSink> sink
) {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, request = std::move(request), sink = std::move(sink)] {
        run(request, *sink);
    });
}

void BadEngine::misbehave(const std::string& body) {
    const auto asked = [&body](std::string_view what) {
        return body.find(what) != std::string::npos;
    };
    if (asked("bad:spin")) {
        spin();
    }
    if (asked("bad:deaf")) {
        deaf_ = true;
    }
    if (asked("bad:segv")) {
        std::raise(SIGSEGV);
    }
    if (asked("bad:abort")) {
        std::abort();
    }
    if (asked("bad:exit")) {
        std::_Exit(3);
    }
    if (asked("bad:grandchild") && ::fork() == 0) {
        ::setsid(); // beyond the reach of a signal to the group
        ::execl("/bin/sleep", "rbee-grandchild", "300", nullptr);
        std::_Exit(127);
    }
}

void BadEngine::run(const engine::GenerationRequest& request, engine::GenerationSink& sink) {
    engine::End end;
    {
        const ActivityTask owed(*activity_);
        for (int i = 0; i < words && !cancelled(request.id); ++i) {
            if (i == words_before_trouble) {
                misbehave(request.body);
            }
            std::this_thread::sleep_for(word_time);
            activity_->step();
            if (request.stream || request.dialect == engine::Dialect::infer) {
                sink.on_chunk(word_chunk(request));
            }
        }
        sink.on_chunk(last_chunk(request));
    }
    if (cancelled(request.id)) {
        end.stop = engine::StopReason::cancelled;
    }
    sink.on_end(std::move(end));
}

bool BadEngine::cancelled(const std::string& id) {
    const std::lock_guard lock(mutex_);
    return cancelled_.contains(id);
}

void BadEngine::cancel(std::string_view id, CancelReason /*reason*/) {
    const std::lock_guard lock(mutex_);
    cancelled_.emplace(id);
}

void BadEngine::call(engine::Call /*call*/, ReplyFn done) {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([done = std::move(done)] {
        done({.status = 200, .content_type = "application/json", .body = "{}"});
    });
}

engine::Stats BadEngine::stats() {
    if (deaf_) {
        sleep_for_ever();
    }
    return {.slots_total = slots_};
}

void BadEngine::stop() {
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(mutex_);
        threads.swap(threads_);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

} // namespace rbee::tools
