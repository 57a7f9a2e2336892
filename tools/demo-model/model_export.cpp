// SPDX-License-Identifier: Apache-2.0
#include "model_export.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "ggml.h"
#include "gguf.h"
#include "network.hpp"
#include "pieces.hpp"

namespace rbee::demo {
namespace {

using File = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

constexpr std::uint32_t context_tokens = 512;

// Only the last user message counts; it is written as in training: lower case, few marks. The
// look at the system message makes no output, it tells llama.cpp not to merge it into the question.
constexpr char chat_template[] = R"({%- set last = namespace(question='') -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{%- set last.question = message.content -%}
{%- elif message.role == 'system' and message.content == '' -%}
{%- endif -%}
{%- endfor -%}
{%- set question = last.question | lower | replace('\n', ' ') | replace('?', '') | replace('!', '')
    | replace(',', '') | replace('"', '') | replace(';', '') | trim -%}
{{ '<|user|> ' + question }}
{%- if messages[-1].role == 'assistant' -%}
{{ '<|assistant|>' + messages[-1].content }}
{%- elif add_generation_prompt -%}
{{ '<|assistant|>' }}
{%- endif -%})";

void set(const File& file, const std::string& key, const std::string& value) {
    gguf_set_val_str(file.get(), key.c_str(), value.c_str());
}

void set(const File& file, const std::string& key, std::uint32_t value) {
    gguf_set_val_u32(file.get(), key.c_str(), value);
}

void describe(const File& file, const NetworkShape& shape) {
    const auto number = [](int value) { return static_cast<std::uint32_t>(value); };
    set(file, "general.architecture", "llama");
    set(file, "general.name", "rbee-demo");
    set(file,
        "general.description",
        "A toy that answers questions about rbee and knows nothing else.");
    set(file, "general.license", "apache-2.0");
    set(file, "llama.context_length", context_tokens);
    set(file, "llama.embedding_length", number(shape.embd));
    set(file, "llama.block_count", number(shape.layers));
    set(file, "llama.feed_forward_length", number(shape.ff));
    set(file, "llama.attention.head_count", number(shape.heads));
    gguf_set_val_f32(file.get(), "llama.attention.layer_norm_rms_epsilon", 1e-5F);
}

void describe_tokens(const File& file, const Pieces& pieces) {
    std::vector<const char*> texts(pieces.texts.size());
    std::ranges::transform(pieces.texts, texts.begin(), [](const std::string& text) {
        return text.c_str();
    });
    // Markers and bytes are for reading; the model shall only write text and the end.
    std::vector<std::int32_t> suppressed(Pieces::first_normal);
    std::iota(suppressed.begin(), suppressed.end(), 0);
    std::erase(suppressed, Pieces::eos);

    gguf_context* raw = file.get();
    set(file, "tokenizer.ggml.model", "llama");
    gguf_set_arr_str(raw, "tokenizer.ggml.tokens", texts.data(), texts.size());
    gguf_set_arr_data(
        raw, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, pieces.scores.data(), pieces.scores.size()
    );
    gguf_set_arr_data(
        raw, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, pieces.types.data(), pieces.types.size()
    );
    gguf_set_arr_data(
        raw, "tokenizer.ggml.suppress_tokens", GGUF_TYPE_INT32, suppressed.data(), suppressed.size()
    );
    set(file, "tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(Pieces::bos));
    set(file, "tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(Pieces::eos));
    set(file, "tokenizer.ggml.unknown_token_id", static_cast<std::uint32_t>(Pieces::unknown));
    gguf_set_val_bool(raw, "tokenizer.ggml.add_bos_token", true);
    gguf_set_val_bool(raw, "tokenizer.ggml.add_eos_token", false);
    gguf_set_val_bool(raw, "tokenizer.ggml.add_space_prefix", false);
    set(file, "tokenizer.chat_template", chat_template);
}

/// Copies a parameter into `context`, as f16 when it is a matrix.
ggml_tensor* converted(ggml_context* context, const ggml_tensor* parameter) {
    const bool matrix = ggml_n_dims(parameter) > 1;
    ggml_tensor* copy = ggml_new_tensor(
        context, matrix ? GGML_TYPE_F16 : GGML_TYPE_F32, ggml_n_dims(parameter), parameter->ne
    );
    ggml_set_name(copy, parameter->name);
    const auto* values = static_cast<const float*>(parameter->data);
    if (matrix) {
        ggml_fp32_to_fp16_row(values, static_cast<ggml_fp16_t*>(copy->data), ggml_nelements(copy));
    } else {
        std::copy_n(values, ggml_nelements(copy), static_cast<float*>(copy->data));
    }
    return copy;
}

} // namespace

bool export_model(const std::string& path, const Pieces& pieces, const Network& network) {
    const File file(gguf_init_empty(), &gguf_free);
    describe(file, network.shape());
    describe_tokens(file, pieces);
    std::size_t bytes = 0;
    for (const ggml_tensor* parameter : network.parameters()) {
        bytes += ggml_nbytes(parameter) + ggml_tensor_overhead() + 64;
    }
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
        ggml_init({.mem_size = bytes, .mem_buffer = nullptr, .no_alloc = false}), &ggml_free
    );
    for (const ggml_tensor* parameter : network.parameters()) {
        gguf_add_tensor(file.get(), converted(context.get(), parameter));
    }
    return gguf_write_to_file(file.get(), path.c_str(), false);
}

} // namespace rbee::demo
