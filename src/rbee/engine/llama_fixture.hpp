#pragma once
// Shared by the tests of this folder: tiny models, a loaded engine, a sink that records.

#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rbee::engine::test {

using Arguments = std::vector<std::string>;

/// Generous: only a hang makes a test wait this long.
inline constexpr std::chrono::seconds patience{60};

/// The model maker: $RBEE_MKMODEL, else searched upwards from this program. Empty when missing.
inline std::string model_maker() {
    if (const char* given = std::getenv("RBEE_MKMODEL")) { // NOLINT(concurrency-mt-unsafe): tests
        return given;
    }
    std::error_code code;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", code);
    for (auto folder = self.parent_path(); folder.has_relative_path();
         folder = folder.parent_path()) {
        for (const char* place : {"rbee-mkmodel", "tools/test-models/rbee-mkmodel"}) {
            if (std::filesystem::is_regular_file(folder / place, code)) {
                return folder / place;
            }
        }
    }
    return {};
}

/// A folder of this process for models; removed at the end of the program.
inline const std::filesystem::path& model_folder() {
    struct Folder {
        std::filesystem::path path =
            std::filesystem::path(testing::TempDir()) / ("rbee-engine-" + std::to_string(getpid()));
        Folder() { std::filesystem::create_directories(path); }
        Folder(const Folder&) = delete;
        Folder& operator=(const Folder&) = delete;
        ~Folder() {
            std::error_code code;
            std::filesystem::remove_all(path, code);
        }
    };
    static const Folder folder;
    return folder.path;
}

inline std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) {
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return out + "'";
}

/// Makes a model with the given flags (once per set of flags) and returns its path.
inline std::string make_model(const Arguments& flags) {
    std::string command = quoted(model_maker());
    for (const std::string& flag : flags) {
        command += " " + quoted(flag);
    }
    const auto path =
        model_folder() / (std::to_string(std::hash<std::string>{}(command)) + ".gguf");
    if (!std::filesystem::exists(path)) {
        command += " --out " + quoted(path) + " >/dev/null 2>&1";
        if (std::system(command.c_str()) != 0) { // NOLINT(concurrency-mt-unsafe): tests
            ADD_FAILURE() << "cannot make a model: " << command;
        }
    }
    return path;
}

inline std::string scripted_model(const std::string& text) {
    return make_model({"--kind", "scripted", "--text", text});
}

/// Says "0000 0001 0002 ..." without end: a lost or doubled token shows.
inline std::string counting_model() {
    return make_model({"--kind", "scripted", "--count", "1000", "--cycle"});
}

/// Slow enough to be caught in the middle of a prompt.
inline std::string slow_model() {
    return make_model({"--kind", "random", "--preset", "mid", "--eos", "never"});
}

/// Records what a generation gives and lets a test wait for it.
class Recorder final : public GenerationSink {
public:
    void on_chunk(Chunk chunk) override {
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(end_) << "chunk after the end";
        ++chunks_;
        text_ += chunk.text;
        wire_ += chunk.wire;
        ids_.insert(ids_.end(), chunk.token_ids.begin(), chunk.token_ids.end());
        changed_.notify_all();
    }

    void on_end(End end) override {
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(end_) << "second end";
        end_ = std::move(end);
        ended_at_ = std::chrono::steady_clock::now();
        changed_.notify_all();
    }

    /// The end; a test failure and a default one when it does not come.
    End wait_end() {
        std::unique_lock lock(mutex_);
        const bool came = changed_.wait_for(lock, patience, [this] { return end_.has_value(); });
        EXPECT_TRUE(came) << "no end";
        return end_.value_or(End{});
    }

    void wait_chunks(std::size_t count) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, patience, [&] { return chunks_ >= count || end_; }));
    }

    [[nodiscard]] std::string text() const { return read(text_); }
    [[nodiscard]] std::string wire() const { return read(wire_); }
    [[nodiscard]] std::vector<std::int32_t> ids() const { return read(ids_); }
    [[nodiscard]] std::size_t chunks() const { return read(chunks_); }
    [[nodiscard]] bool ended() const { return read(end_).has_value(); }
    [[nodiscard]] std::chrono::steady_clock::time_point ended_at() const { return read(ended_at_); }

private:
    template <typename T>
    T read(const T& value) const {
        const std::lock_guard lock(mutex_);
        return value;
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t chunks_ = 0;
    std::string text_;
    std::string wire_;
    std::vector<std::int32_t> ids_;
    std::optional<End> end_;
    std::chrono::steady_clock::time_point ended_at_;
};

/// Skips without a model maker; else gives engines, requests and waits.
class EngineTest : public testing::Test {
protected:
    void SetUp() override {
        if (model_maker().empty()) {
            GTEST_SKIP() << "rbee-mkmodel not found; set RBEE_MKMODEL";
        }
    }

    void TearDown() override {
        if (engine_) {
            engine_->stop();
        }
    }

    Result<ModelInfo>
    try_load(const std::string& path, std::uint32_t slots = 4, const Arguments& flags = {}) {
        // One thread: spinning workers of a busy machine slow each other down a thousandfold.
        LoadOptions options{
            .model_path = path,
            .model_name = "tiny",
            .slots = slots,
            .engine_args = {"-t", "1", "-tb", "1"}
        };
        options.engine_args.insert(options.engine_args.end(), flags.begin(), flags.end());
        engine_ = make_llama_engine();
        return engine_->load(options, [this](const LoadProgress& progress) {
            progress_.push_back(progress);
        });
    }

    void load(const std::string& path, std::uint32_t slots = 4, const Arguments& flags = {}) {
        const auto info = try_load(path, slots, flags);
        ASSERT_TRUE(info) << info.error().what;
    }

    std::shared_ptr<Recorder>
    start(Dialect dialect, const std::string& body, bool stream, const std::string& id = {}) {
        auto sink = std::make_shared<Recorder>();
        const std::string name = id.empty() ? "r" + std::to_string(next_id_++) : id;
        engine_->start({.id = name, .dialect = dialect, .body = body, .stream = stream}, sink);
        return sink;
    }

    std::shared_ptr<Recorder> infer(const std::string& body, const std::string& id = {}) {
        return start(Dialect::infer, body, true, id);
    }

    Reply call(Route route, const std::string& body = {}, const std::string& query = {}) {
        const auto answer = std::make_shared<std::promise<Reply>>();
        auto reply = answer->get_future();
        engine_->call({.route = route, .body = body, .query = query}, [answer](Reply given) {
            answer->set_value(std::move(given));
        });
        return reply.get();
    }

    /// Waits until the engine's counters satisfy `done`.
    void wait_stats(const std::function<bool(const Stats&)>& done) {
        const auto limit = std::chrono::steady_clock::now() + patience;
        while (!done(engine_->stats())) {
            ASSERT_LT(std::chrono::steady_clock::now(), limit) << "counters never got there";
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    std::unique_ptr<Engine> engine_;
    std::vector<LoadProgress> progress_;
    int next_id_ = 0;
};

/// The text that the counting model gives in `tokens` tokens from its start.
inline std::string counted(std::size_t tokens) {
    std::string text;
    for (std::size_t i = 0; i < tokens; ++i) {
        const std::string digits = std::to_string(i % 1000);
        text += std::string(4 - digits.size(), '0') + digits + " ";
    }
    return text;
}

} // namespace rbee::engine::test
