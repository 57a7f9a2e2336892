// SPDX-License-Identifier: Apache-2.0
#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml-opt.h"
#include "ggml.h"
#include "random.hpp"

namespace rbee::demo {
namespace {

constexpr float norm_epsilon = 1e-5F;
constexpr float embedding_deviation = 0.05F;
constexpr float weight_decay = 0.01F;
constexpr std::size_t graph_nodes = 8192;
constexpr int rope_normal = 0; // pairs of neighbours, as llama.cpp rotates this architecture

ggml_context* new_context(std::size_t bytes) {
    return ggml_init({.mem_size = bytes, .mem_buffer = nullptr, .no_alloc = true});
}

ggml_opt_optimizer_params optimizer_params(void* learning_rate) {
    ggml_opt_optimizer_params params = ggml_opt_get_default_optimizer_params(nullptr);
    params.adamw.alpha = *static_cast<const float*>(learning_rate);
    params.adamw.beta2 = 0.98F;
    params.adamw.wd = weight_decay;
    return params;
}

} // namespace

Network::Network(NetworkShape shape, Random& random)
    : shape_(shape), backend_(ggml_backend_cpu_init(), &ggml_backend_free),
      scheduler_(nullptr, &ggml_backend_sched_free),
      fixed_(new_context(ggml_tensor_overhead() * 256), &ggml_free),
      graph_(
          new_context(
              (ggml_tensor_overhead() * graph_nodes) +
              (3 * ggml_graph_overhead_custom(graph_nodes, true))
          ),
          &ggml_free
      ),
      memory_(nullptr, &ggml_backend_buffer_free), optimizer_(nullptr, &ggml_opt_free) {
    ggml_backend_cpu_set_n_threads(backend_.get(), 1);
    ggml_backend_t backend = backend_.get();
    scheduler_.reset(ggml_backend_sched_new(&backend, nullptr, 1, graph_nodes, false, false));
    make_parameters();
    make_inputs();
    memory_.reset(ggml_backend_alloc_ctx_tensors(fixed_.get(), backend));
    randomize(random);

    ggml_opt_params params =
        ggml_opt_default_params(scheduler_.get(), GGML_OPT_LOSS_TYPE_CROSS_ENTROPY);
    params.ctx_compute = graph_.get();
    params.inputs = tokens_;
    params.outputs = logits();
    params.get_opt_pars = &optimizer_params;
    params.get_opt_pars_ud = &learning_rate_;
    optimizer_.reset(ggml_opt_init(params));
}

ggml_tensor* Network::parameter(const std::string& name, int inputs, int outputs) {
    ggml_tensor* tensor = outputs == 1
                              ? ggml_new_tensor_1d(fixed_.get(), GGML_TYPE_F32, inputs)
                              : ggml_new_tensor_2d(fixed_.get(), GGML_TYPE_F32, inputs, outputs);
    ggml_set_name(tensor, name.c_str());
    ggml_set_param(tensor);
    parameters_.push_back(tensor);
    return tensor;
}

void Network::make_parameters() {
    parameter("token_embd.weight", shape_.embd, shape_.vocabulary);
    for (int layer = 0; layer < shape_.layers; ++layer) {
        const std::string prefix = "blk." + std::to_string(layer) + ".";
        parameter(prefix + "attn_norm.weight", shape_.embd, 1);
        for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
            parameter(prefix + name + ".weight", shape_.embd, shape_.embd);
        }
        parameter(prefix + "ffn_norm.weight", shape_.embd, 1);
        parameter(prefix + "ffn_gate.weight", shape_.embd, shape_.ff);
        parameter(prefix + "ffn_up.weight", shape_.embd, shape_.ff);
        parameter(prefix + "ffn_down.weight", shape_.ff, shape_.embd);
    }
    parameter("output_norm.weight", shape_.embd, 1);
}

void Network::make_inputs() {
    const int tokens = shape_.batch_tokens();
    tokens_ = ggml_new_tensor_1d(fixed_.get(), GGML_TYPE_I32, tokens);
    positions_ = ggml_new_tensor_1d(fixed_.get(), GGML_TYPE_I32, tokens);
    attention_mask_ = ggml_new_tensor_4d(
        fixed_.get(), GGML_TYPE_F32, shape_.row_tokens, shape_.row_tokens, 1, shape_.rows
    );
    target_mask_ = ggml_new_tensor_2d(fixed_.get(), GGML_TYPE_F32, shape_.embd, tokens);
}

void Network::randomize(Random& random) {
    const auto residual_scale = 1.0F / std::sqrt(2.0F * static_cast<float>(shape_.layers));
    for (ggml_tensor* tensor : parameters_) {
        const std::string name = tensor->name;
        float deviation = 1.0F / std::sqrt(static_cast<float>(tensor->ne[0]));
        if (name == "token_embd.weight") {
            deviation = embedding_deviation;
        } else if (name.contains("attn_output") || name.contains("ffn_down")) {
            deviation *= residual_scale;
        }
        const bool norm = name.contains("norm");
        auto* values = static_cast<float*>(tensor->data);
        std::generate_n(values, ggml_nelements(tensor), [&] {
            return norm ? 1.0F : random.normal(deviation);
        });
    }
}

ggml_tensor* Network::find(const std::string& name) const {
    return ggml_get_tensor(fixed_.get(), name.c_str());
}

ggml_tensor* Network::normalized(ggml_tensor* state, const std::string& name) {
    return ggml_mul(graph_.get(), ggml_rms_norm(graph_.get(), state, norm_epsilon), find(name));
}

ggml_tensor* Network::projected(ggml_tensor* state, const std::string& name) {
    return ggml_mul_mat(graph_.get(), find(name), state);
}

/// From [embd, tokens] to [head, heads, row token, rows].
ggml_tensor* Network::split_heads(ggml_tensor* state) {
    const int head = shape_.embd / shape_.heads;
    return ggml_reshape_4d(graph_.get(), state, head, shape_.heads, shape_.row_tokens, shape_.rows);
}

/// From [embd, tokens] to [head, row token, heads, rows], with rotary positions.
ggml_tensor* Network::rotated_heads(ggml_tensor* state) {
    ggml_context* graph = graph_.get();
    const int head = shape_.embd / shape_.heads;
    ggml_tensor* heads = ggml_reshape_3d(graph, state, head, shape_.heads, shape_.batch_tokens());
    heads = split_heads(ggml_rope(graph, heads, positions_, head, rope_normal));
    return ggml_cont(graph, ggml_permute(graph, heads, 0, 2, 1, 3));
}

ggml_tensor* Network::attention(ggml_tensor* state, const std::string& prefix) {
    ggml_context* graph = graph_.get();
    ggml_tensor* query = rotated_heads(projected(state, prefix + "attn_q.weight"));
    ggml_tensor* key = rotated_heads(projected(state, prefix + "attn_k.weight"));
    ggml_tensor* value = split_heads(projected(state, prefix + "attn_v.weight"));
    const int head = shape_.embd / shape_.heads;
    ggml_tensor* weights = ggml_soft_max_ext(
        graph,
        ggml_mul_mat(graph, key, query),
        attention_mask_,
        1.0F / std::sqrt(static_cast<float>(head)),
        0.0F
    );
    ggml_tensor* columns = ggml_cont(graph, ggml_permute(graph, value, 1, 2, 0, 3));
    ggml_tensor* mixed = ggml_mul_mat(graph, columns, weights);
    mixed = ggml_cont(graph, ggml_permute(graph, mixed, 0, 2, 1, 3));
    mixed = ggml_reshape_2d(graph, mixed, shape_.embd, shape_.batch_tokens());
    return projected(mixed, prefix + "attn_output.weight");
}

ggml_tensor* Network::feed_forward(ggml_tensor* state, const std::string& prefix) {
    ggml_tensor* gate = ggml_silu(graph_.get(), projected(state, prefix + "ffn_gate.weight"));
    ggml_tensor* up = projected(state, prefix + "ffn_up.weight");
    return projected(ggml_mul(graph_.get(), gate, up), prefix + "ffn_down.weight");
}

ggml_tensor* Network::logits() {
    ggml_context* graph = graph_.get();
    ggml_tensor* embedding = find("token_embd.weight");
    ggml_tensor* state = ggml_get_rows(graph, embedding, tokens_);
    for (int layer = 0; layer < shape_.layers; ++layer) {
        const std::string prefix = "blk." + std::to_string(layer) + ".";
        ggml_tensor* input = normalized(state, prefix + "attn_norm.weight");
        state = ggml_add(graph, state, attention(input, prefix));
        input = normalized(state, prefix + "ffn_norm.weight");
        state = ggml_add(graph, state, feed_forward(input, prefix));
    }
    state = normalized(state, "output_norm.weight");
    // A zero state gives no gradient: this is how tokens without a target stay out of the loss.
    state = ggml_mul(graph, state, target_mask_);
    return ggml_mul_mat(graph, embedding, state);
}

void Network::load(const Batch& batch) {
    const auto row = static_cast<std::size_t>(shape_.row_tokens);
    const auto embd = static_cast<std::size_t>(shape_.embd);
    const std::size_t tokens = batch.tokens.size();
    ggml_backend_tensor_set(tokens_, batch.tokens.data(), 0, ggml_nbytes(tokens_));
    ggml_backend_tensor_set(positions_, batch.positions.data(), 0, ggml_nbytes(positions_));

    scratch_.assign(tokens * row, -std::numeric_limits<float>::infinity());
    for (std::size_t query = 0; query < tokens; ++query) {
        const std::size_t row_begin = query / row * row;
        for (std::size_t key = row_begin; key <= query; ++key) {
            if (batch.documents[key] == batch.documents[query]) {
                scratch_[(query * row) + (key - row_begin)] = 0.0F;
            }
        }
    }
    ggml_backend_tensor_set(attention_mask_, scratch_.data(), 0, ggml_nbytes(attention_mask_));

    scratch_.assign(tokens * embd, 0.0F);
    ggml_tensor* labels = ggml_opt_labels(optimizer_.get());
    ggml_set_zero(labels);
    for (std::size_t i = 0; i < tokens; ++i) {
        if (batch.targets[i] == Batch::no_target) {
            continue;
        }
        std::fill_n(scratch_.begin() + static_cast<std::ptrdiff_t>(i * embd), embd, 1.0F);
        static_cast<float*>(labels->data
        )[(i * static_cast<std::size_t>(shape_.vocabulary)) +
          static_cast<std::size_t>(batch.targets[i])] = 1.0F;
    }
    ggml_backend_tensor_set(target_mask_, scratch_.data(), 0, ggml_nbytes(target_mask_));
}

float Network::step(const Batch& batch, float learning_rate) {
    learning_rate_ = learning_rate;
    ggml_opt_alloc(optimizer_.get(), true);
    load(batch);
    ggml_opt_eval(optimizer_.get(), nullptr);
    float loss = 0.0F;
    ggml_backend_tensor_get(ggml_opt_loss(optimizer_.get()), &loss, 0, sizeof(loss));
    const auto targets = std::ranges::count_if(batch.targets, [](std::int32_t target) {
        return target != Batch::no_target;
    });
    return loss * static_cast<float>(batch.tokens.size()) / static_cast<float>(targets);
}

} // namespace rbee::demo
