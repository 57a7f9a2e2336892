// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-opt.h"
#include "ggml.h"
#include "random.hpp"

namespace rbee::demo {

/// The shape of the model and of one training batch.
struct NetworkShape {
    int vocabulary = 0;
    int embd = 128;
    int layers = 4;
    int heads = 4;
    int ff = 384;
    int row_tokens = 128; ///< Tokens per row; documents never cross rows.
    int rows = 8;         ///< Rows per optimizer step.

    [[nodiscard]] int batch_tokens() const { return row_tokens * rows; }
};

/// What the network sees in one step; every vector covers the whole batch.
struct Batch {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> positions; ///< Place within the document.
    std::vector<std::int32_t> documents; ///< Attention stays within equal numbers of a row.
    std::vector<std::int32_t> targets;   ///< The next token, or `no_target`.

    static constexpr std::int32_t no_target = -1;
};

/// A llama-architecture network that ggml-opt trains on the CPU with one thread.
///
/// The graph is that of llama.cpp for this architecture (RMS norm, rotary attention, SwiGLU, the
/// embedding reused as output), for several rows at once and with document masks.
class Network {
public:
    Network(NetworkShape shape, Random& random);

    /// Trains one step and returns the mean loss per target token.
    float step(const Batch& batch, float learning_rate);

    /// The trained tensors, under their GGUF names.
    [[nodiscard]] const std::vector<ggml_tensor*>& parameters() const { return parameters_; }
    [[nodiscard]] const NetworkShape& shape() const { return shape_; }

private:
    template <typename T>
    using Handle = std::unique_ptr<T, void (*)(T*)>;

    void make_parameters();
    void make_inputs();
    ggml_tensor* parameter(const std::string& name, int inputs, int outputs);
    [[nodiscard]] ggml_tensor* find(const std::string& name) const;
    ggml_tensor* normalized(ggml_tensor* state, const std::string& name);
    ggml_tensor* projected(ggml_tensor* state, const std::string& name);
    ggml_tensor* split_heads(ggml_tensor* state);
    ggml_tensor* rotated_heads(ggml_tensor* state);
    ggml_tensor* attention(ggml_tensor* state, const std::string& prefix);
    ggml_tensor* feed_forward(ggml_tensor* state, const std::string& prefix);
    ggml_tensor* logits();
    void load(const Batch& batch);
    void randomize(Random& random);

    NetworkShape shape_;
    float learning_rate_ = 0.0F;
    std::vector<ggml_tensor*> parameters_;
    std::vector<float> scratch_;
    Handle<ggml_backend> backend_;
    Handle<ggml_backend_sched> scheduler_;
    Handle<ggml_context> fixed_;
    Handle<ggml_context> graph_;
    Handle<ggml_backend_buffer> memory_;
    ggml_tensor* tokens_ = nullptr;
    ggml_tensor* positions_ = nullptr;
    ggml_tensor* attention_mask_ = nullptr;
    ggml_tensor* target_mask_ = nullptr;
    Handle<ggml_opt_context> optimizer_;
};

} // namespace rbee::demo
