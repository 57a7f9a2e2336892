#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/llama_fixture.hpp"
#include "rbee/engine/llama_flags.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::engine::test {
namespace {

using testing::Contains;
using testing::IsSupersetOf;
using testing::Not;

class LlamaLoadTest : public EngineTest {
protected:
    static std::string read(const std::string& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }

    static std::string write(std::string_view name, std::string_view bytes) {
        const auto path = model_folder() / name;
        std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
        return path;
    }

    /// Loads, expects a refusal whose text contains `part`.
    void refuse(const std::string& path, Errc code, const std::string& part) {
        expect_error(try_load(path), code, part);
    }

    void refuse_flags(const Arguments& flags, const std::string& part) {
        expect_error(try_load(scripted_model("hello"), 1, flags), Errc::invalid_argument, part);
    }

private:
    static void expect_error(const Result<ModelInfo>& result, Errc code, const std::string& part) {
        ASSERT_FALSE(result) << part;
        EXPECT_EQ(result.error().code, code) << result.error().what;
        EXPECT_NE(result.error().what.find(part), std::string::npos) << result.error().what;
    }
};

TEST_F(LlamaLoadTest, SaysWhatItLoaded) {
    const auto info = try_load(make_model({"--kind", "random", "--ctx", "2048"}), 3);
    ASSERT_TRUE(info) << info.error().what;
    EXPECT_NE(info->description.find("llama"), std::string::npos) << info->description;
    EXPECT_EQ(info->layers, 2U);
    EXPECT_EQ(info->slots, 3U);
    EXPECT_GT(info->context_tokens, 0U);
    EXPECT_GT(info->size_bytes, 100'000U);
    EXPECT_GT(info->parameters, 10'000U);
    EXPECT_FALSE(info->embeddings);
    EXPECT_FALSE(info->vision);
}

TEST_F(LlamaLoadTest, ProgressOnlyGrows) {
    load(slow_model());
    ASSERT_GE(progress_.size(), 2U);
    for (std::size_t i = 1; i < progress_.size(); ++i) {
        EXPECT_LE(progress_[i - 1].fraction, progress_[i].fraction);
    }
    const LoadProgress& last = progress_.back();
    EXPECT_EQ(last.fraction, 1.0F);
    EXPECT_EQ(last.layers_loaded, 4U);
    EXPECT_EQ(last.layers_total, 4U);
    EXPECT_EQ(last.loaded_bytes, std::filesystem::file_size(slow_model()));
}

TEST_F(LlamaLoadTest, MissingFile) {
    refuse(model_folder() / "nothing.gguf", Errc::not_found, "no such file");
    refuse(model_folder(), Errc::invalid_argument, "not a regular file");
}

TEST_F(LlamaLoadTest, NotAModel) {
    refuse(write("empty.gguf", ""), Errc::corrupt, "not a GGUF file");
    refuse(write("garbage.gguf", std::string(4096, 'z')), Errc::corrupt, "magic");
    std::string old = read(scripted_model("hello"));
    const std::uint32_t version = 1;
    std::memcpy(old.data() + 4, &version, sizeof(version));
    refuse(write("old.gguf", old), Errc::unsupported, "GGUF version 1");
}

TEST_F(LlamaLoadTest, CutOffFile) {
    const std::string whole = read(scripted_model("hello"));
    refuse(write("cut.gguf", whole.substr(0, whole.size() - 4096)), Errc::corrupt, "cut off");
    for (const std::size_t kept : {8UL, 24UL, 100UL, 5000UL}) {
        refuse(write("head.gguf", whole.substr(0, kept)), Errc::corrupt, "GGUF header");
    }
}

TEST_F(LlamaLoadTest, DamagedHeader) {
    const std::string whole = read(scripted_model("hello"));
    for (std::size_t at = 8; at < 40; ++at) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x7F);
        const auto result = try_load(write("damaged.gguf", damaged));
        if (!result) {
            EXPECT_FALSE(result.error().what.empty());
        }
        engine_->stop();
    }
}

TEST_F(LlamaLoadTest, UnknownArchitecture) {
    std::string whole = read(scripted_model("hello"));
    // Keys and values keep their length, so the file stays well formed.
    const std::string key = "general.architecture";
    const std::size_t value = whole.find("llama", whole.find(key) + key.size());
    ASSERT_NE(value, std::string::npos);
    whole.replace(value, 5, "lamma");
    refuse(write("lamma.gguf", whole), Errc::unsupported, "architecture lamma is not supported");
}

TEST_F(LlamaLoadTest, MissingTensor) {
    std::string whole = read(scripted_model("hello"));
    const std::size_t name = whole.find("output_norm.weight");
    ASSERT_NE(name, std::string::npos);
    whole.replace(name, 6, "putout");
    refuse(write("tensor.gguf", whole), Errc::corrupt, "output_norm.weight");
}

TEST_F(LlamaLoadTest, WrongFlags) {
    refuse_flags({"--no-such-flag"}, "--no-such-flag");
    refuse_flags({"-c"}, "needs a value");
    refuse_flags({"-c", "many"}, "-c");
    refuse_flags({"--flash-attn", "perhaps"}, "--flash-attn");
    refuse_flags({"--chat-template", "{% if %}"}, "chat template");
    for (const char* flag : {"--help", "-h", "--version", "--list-devices", "--completion-bash"}) {
        refuse_flags({flag}, flag);
    }
    refuse_flags({"--model", "other.gguf"}, "--model");
    refuse_flags({"--hf_repo", "someone/something"}, "--hf-repo");
    refuse_flags({"--sleep-idle-seconds", "5"}, "--sleep-idle-seconds");
}

TEST_F(LlamaLoadTest, UserFlagsWin) {
    const auto info = try_load(scripted_model("hello"), 2, {"-np", "5", "-c", "5120"});
    ASSERT_TRUE(info) << info.error().what;
    EXPECT_EQ(info->slots, 5U);
    EXPECT_EQ(info->context_tokens, 1024U);

    const LoadOptions options{
        .model_path = "m", .model_name = "n", .slots = 2, .engine_args = {"-b", "64"}
    };
    const auto line = llama_command_line(options);
    EXPECT_EQ(std::ranges::count(line, "--batch-size"), 0);
    EXPECT_EQ(std::ranges::count(line, "--ubatch-size"), 1);
    EXPECT_EQ(line.back(), "64");
}

TEST_F(LlamaLoadTest, ThePromptCacheIsBounded) {
    LoadOptions options;
    options.prompt_cache_mib = 77;
    EXPECT_THAT(
        llama_command_line(options), IsSupersetOf(std::vector<std::string>{"--cache-ram", "77"})
    );
    options.engine_args = {"-cram", "5"};
    EXPECT_THAT(llama_command_line(options), Not(Contains("--cache-ram")));
}

TEST_F(LlamaLoadTest, ADeviceThatIsNotThereIsNeverReplacedByTheCpu) {
    LoadOptions options;
    options.model_path = "m";
    options.backend = "cuda";
    options.device = 63;
    const auto line = llama_command_line(options);
    EXPECT_TRUE(std::ranges::find(line, "CUDA63") != line.end());
    common_params params;
    const auto loaded = parse_llama_flags(options, params);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().wire_code, "BACKEND_UNAVAILABLE");
    EXPECT_NE(loaded.error().what.find("CUDA63"), std::string::npos);
}

TEST_F(LlamaLoadTest, LoadsAgainInTheSameProcess) {
    for (int i = 0; i < 3; ++i) {
        load(scripted_model("hello"), 1);
        const auto sink = infer(R"({"prompt":"x","n_predict":9})");
        sink->wait_end();
        EXPECT_EQ(sink->text(), "hello");
        engine_->stop();
        engine_->stop();
    }
    EXPECT_FALSE(engine_->load({}, {}));
}

} // namespace
} // namespace rbee::engine::test
