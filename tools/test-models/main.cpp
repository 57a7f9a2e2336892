// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "chat_template.hpp"
#include "ggml.h"
#include "model_file.hpp"
#include "options.hpp"
#include "rng.hpp"
#include "vocabulary.hpp"
#include "weights.hpp"

namespace rbee::mkmodel {
namespace {

constexpr std::size_t tensors_per_layer = 9;
constexpr std::size_t tensors_outside_layers = 3;

Vocabulary make_vocabulary(const Options& options) {
    Vocabulary vocabulary;
    if (options.count > 0) {
        vocabulary.add_script_numbers(options.count);
    } else {
        vocabulary.add_script_text(options.text);
    }
    return vocabulary;
}

std::size_t weight_bytes(const Dimensions& size, std::size_t tokens) {
    const auto matrix = [&](int inputs, std::size_t outputs) {
        return ggml_row_size(size.type, inputs) * outputs;
    };
    const auto embd = static_cast<std::size_t>(size.embd);
    const auto embd_kv = static_cast<std::size_t>(size.embd_kv());
    const auto ff = static_cast<std::size_t>(size.ff);
    const std::size_t layer = (2 * matrix(size.embd, embd)) + (2 * matrix(size.embd, embd_kv)) +
                              (2 * matrix(size.embd, ff)) + matrix(size.ff, embd) +
                              (2 * embd * sizeof(float));
    return (static_cast<std::size_t>(size.layers) * layer) + (2 * matrix(size.embd, tokens)) +
           (embd * sizeof(float));
}

void describe(ModelFile& file, const Options& options) {
    const auto number = [](int value) { return static_cast<std::uint32_t>(value); };
    file.set("general.architecture", std::string("llama"));
    file.set("general.name", options.name);
    file.set("llama.context_length", number(options.ctx));
    file.set("llama.embedding_length", number(options.size.embd));
    file.set("llama.block_count", number(options.size.layers));
    file.set("llama.feed_forward_length", number(options.size.ff));
    file.set("llama.attention.head_count", number(options.size.heads()));
    file.set("llama.attention.head_count_kv", number(options.size.heads_kv()));
    file.set("llama.attention.layer_norm_rms_epsilon", 1e-5F);
}

void describe_tokens(ModelFile& file, const Options& options, const Vocabulary& vocabulary) {
    file.set("tokenizer.ggml.model", std::string("llama"));
    file.set("tokenizer.ggml.tokens", vocabulary.texts());
    file.set("tokenizer.ggml.scores", vocabulary.scores());
    file.set("tokenizer.ggml.token_type", vocabulary.types());
    file.set("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(Vocabulary::bos));
    file.set("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(Vocabulary::eos));
    file.set("tokenizer.ggml.unknown_token_id", static_cast<std::uint32_t>(Vocabulary::unknown));
    file.set("tokenizer.ggml.add_bos_token", true);
    file.set("tokenizer.ggml.add_eos_token", false);
    file.set("tokenizer.ggml.add_space_prefix", false);
    file.set("tokenizer.ggml.suppress_tokens", vocabulary.suppressed(options.endless));
    file.set(
        "tokenizer.chat_template",
        std::string(options.tools ? tools_chat_template : plain_chat_template)
    );
}

void add_tokens(ModelFile& file, const Dimensions& size, const TokenMatrices& matrices) {
    const auto tokens =
        static_cast<int>(matrices.embedding.size() / static_cast<std::size_t>(size.embd));
    const auto rows_of = [](const std::vector<float>& matrix) {
        return [next = matrix.begin()](std::vector<float>& row) mutable {
            std::copy_n(next, row.size(), row.begin());
            next += static_cast<std::ptrdiff_t>(row.size());
        };
    };
    const ModelFile::Shape shape{.inputs = size.embd, .outputs = tokens, .type = size.type};
    file.add_matrix("token_embd.weight", shape, rows_of(matrices.embedding));
    file.add_ones("output_norm.weight", size.embd);
    file.add_matrix("output.weight", shape, rows_of(matrices.output));
}

/// A scripted model has zero matrices where a layer writes to the residual stream; the layer still
/// computes, and fills its key/value cache, so timing and memory are those of a real model.
void add_layer(ModelFile& file, const Options& options, int layer, Rng& rng) {
    const Dimensions& size = options.size;
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    const float silent = options.kind == Kind::scripted ? 0.0F : 1.0F;
    const auto add = [&](const char* name, int inputs, int outputs, float gain) {
        const float limit = gain * std::sqrt(3.0F / static_cast<float>(inputs));
        file.add_matrix(
            prefix + name,
            {.inputs = inputs, .outputs = outputs, .type = size.type},
            [&](std::vector<float>& row) {
                std::ranges::generate(row, [&] { return rng.symmetric(limit); });
            }
        );
    };
    file.add_ones(prefix + "attn_norm.weight", size.embd);
    add("attn_q.weight", size.embd, size.embd, 2.0F);
    add("attn_k.weight", size.embd, size.embd_kv(), 2.0F);
    add("attn_v.weight", size.embd, size.embd_kv(), 1.0F);
    add("attn_output.weight", size.embd, size.embd, silent);
    file.add_ones(prefix + "ffn_norm.weight", size.embd);
    add("ffn_gate.weight", size.embd, size.ff, 1.0F);
    add("ffn_up.weight", size.embd, size.ff, 1.0F);
    add("ffn_down.weight", size.ff, size.embd, silent);
}

bool write_model(const Options& options) {
    const Vocabulary vocabulary = make_vocabulary(options);
    const Dimensions& size = options.size;
    const std::size_t tensors =
        tensors_outside_layers + (tensors_per_layer * static_cast<std::size_t>(size.layers));
    ModelFile file(tensors, weight_bytes(size, vocabulary.size()));
    Rng rng(options.seed);
    describe(file, options);
    describe_tokens(file, options, vocabulary);
    add_tokens(
        file,
        size,
        options.kind == Kind::scripted ? scripted_tokens(options, vocabulary, rng)
                                       : random_tokens(size, vocabulary.size(), rng)
    );
    for (int layer = 0; layer < size.layers; ++layer) {
        add_layer(file, options, layer, rng);
    }
    return file.write(options.out);
}

int run(std::span<char* const> arguments) {
    const auto options = parse_options(arguments);
    if (!options) {
        std::cerr << "rbee-mkmodel: " << options.error() << " (see --help)\n";
        return EXIT_FAILURE;
    }
    if (options->help) {
        std::cout << usage();
        return EXIT_SUCCESS;
    }
    if (!write_model(*options)) {
        std::cerr << "rbee-mkmodel: cannot write " << options->out << '\n';
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

} // namespace
} // namespace rbee::mkmodel

int main(int argc, char** argv) {
    return rbee::mkmodel::run(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
}
