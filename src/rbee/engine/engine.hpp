#pragma once

#include "rbee/base/activity.hpp"
#include "rbee/base/cancel.hpp"
#include "rbee/base/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::engine {

/// What the engine needs to know before it can load a model.
struct LoadOptions {
    std::string model_path;               ///< GGUF file.
    std::string model_name;               ///< Name that answers carry in their `model` field.
    std::uint32_t slots = 1;              ///< Requests decoded at the same time.
    std::string backend = "cpu";          ///< cpu, cuda or metal; never another one instead.
    std::uint32_t device = 0;             ///< Number of the device of that backend.
    std::vector<std::string> engine_args; ///< llama-server flags, as given after `--`.
    /// Most that the states of earlier prompts may take in memory, beside the slots; 0: none kept.
    std::uint32_t prompt_cache_mib = 512;
    /// Whether images, audio and video that a request names by URL are fetched. Whoever may send
    /// requests could otherwise make this machine call others.
    bool allow_remote_images = false;
    /// Where the inference loop shows that it works, for a watcher outside the process; must
    /// outlive the engine. Null: nowhere.
    Activity* activity = nullptr;
};

/// What a loaded model says about itself.
struct ModelInfo {
    std::string description;      ///< Such as "llama 1.1B Q4_K".
    std::uint64_t size_bytes = 0; ///< Weights.
    std::uint64_t parameters = 0;
    std::uint32_t context_tokens = 0; ///< Per slot.
    std::uint32_t layers = 0;
    std::uint32_t slots = 0; ///< As resolved after all flags.
    bool embeddings = false;
    bool vision = false;
};

/// Progress while loading. `fraction` never decreases.
struct LoadProgress {
    float fraction = 0; ///< 0 ... 1 of the weights.
    std::uint32_t layers_loaded = 0;
    std::uint32_t layers_total = 0;
    std::uint64_t loaded_bytes = 0;
};

/// The dialect of a generation: decides how the body is read and how chunks are written.
enum class Dialect {
    infer,       ///< rbee's own: llama.cpp completion fields in, plain text out.
    completions, ///< POST /v1/completions
    chat,        ///< POST /v1/chat/completions
    responses,   ///< POST /v1/responses
    messages,    ///< POST /v1/messages
};

struct GenerationRequest {
    std::string id; ///< Unique among running requests; names it in cancel().
    Dialect dialect = Dialect::infer;
    std::string body; ///< JSON object.
    bool stream = false;
};

/// A piece of the answer.
struct Chunk {
    /// infer: the new text. It is cut at UTF-8 boundaries and may be empty for a token that only
    /// completes in the next one.
    std::string text;
    /// Other dialects: bytes for the client as they are. Streaming: whole server-sent events, the
    /// closing `[DONE]` included where the dialect has one. Else: the JSON answer, in one chunk.
    std::string wire;
    std::vector<std::int32_t> token_ids;
};

enum class StopReason { max_tokens, eos, stop_sequence, cancelled, error };

struct Usage {
    std::uint32_t prompt_tokens = 0;
    std::uint32_t cached_tokens = 0; ///< Part of the prompt that was in the cache.
    std::uint32_t completion_tokens = 0;
    double prompt_ms = 0;
    double decode_ms = 0;
};

/// How a generation ended; given exactly once.
struct End {
    StopReason stop = StopReason::eos;
    std::string stop_sequence; ///< The one that matched, when stop is stop_sequence.
    Usage usage;
    std::uint32_t seed = 0; ///< What sampling started from: the client's, or one we chose.
    Error error;            ///< Meaningful when stop is `error`.
    CancelReason cancel_reason = CancelReason::requested; ///< Meaningful when stop is `cancelled`.
};

/// Receives one generation. Calls come from engine threads, one at a time and in order; `on_end`
/// is the last. Implementations must not throw and must not block for long.
class GenerationSink {
public:
    virtual ~GenerationSink() = default;
    virtual void on_chunk(Chunk chunk) = 0;
    virtual void on_end(End end) = 0;
};

/// A request for one of the engine's ready-made answers that are not generations.
enum class Route {
    embeddings,
    rerank,
    tokenize,
    detokenize,
    apply_template,
    count_tokens, ///< POST /v1/messages/count_tokens
    models,
    props,
    slots,
    lora_adapters_get,
    lora_adapters_set,
    infill,
};

struct Call {
    Route route = Route::models;
    std::string body;
    std::string query; ///< Raw query string.
};

struct Reply {
    int status = 200;
    std::string content_type;
    std::string body;
};

/// A consistent view of the engine's counters.
struct Stats {
    std::uint32_t slots_total = 0;
    std::uint32_t slots_busy = 0;
    std::uint32_t requests_waiting = 0;
    std::uint64_t prompt_tokens_total = 0;
    std::uint64_t generated_tokens_total = 0;
    std::uint64_t decode_steps_total = 0; ///< Stands still when the inference loop hangs.
    bool failed = false; ///< The inference loop has died; only a new process helps.
};

/// One model in this process. The only thing the rest of the worker knows about inference.
/// load() first, once; then start(), call(), cancel() and stats() from any thread; stop() last.
class Engine {
public:
    using ProgressFn = std::function<void(const LoadProgress&)>;
    using ReplyFn = std::function<void(Reply)>;

    virtual ~Engine() = default;

    /// Loads the model; blocks. `progress` is called on the calling thread. A missing, corrupt or
    /// unsupported file, or wrong flags, give an Error with a readable cause, never a crash.
    [[nodiscard]] virtual Result<ModelInfo>
    load(const LoadOptions& options, ProgressFn progress) = 0;

    /// Begins a generation and returns at once. Problems with the body reach `sink.on_end` with
    /// Errc::invalid_argument before any chunk.
    virtual void start(GenerationRequest request, std::shared_ptr<GenerationSink> sink) = 0;

    /// Stops a generation, queued, in prefill or in decode; the sink gets its end with
    /// StopReason::cancelled without waiting for the running step. Unknown ids are ignored.
    virtual void cancel(std::string_view id, CancelReason reason) = 0;

    /// Answers a non-generation request on an engine thread and hands the reply to `done` there.
    virtual void call(Call call, ReplyFn done) = 0;

    [[nodiscard]] virtual Stats stats() = 0;

    /// Cancels what runs, waits until every sink has its end, and frees the model.
    virtual void stop() = 0;
};

/// The llama.cpp engine.
[[nodiscard]] std::unique_ptr<Engine> make_llama_engine();

} // namespace rbee::engine
