// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ggml.h"
#include "gguf.h"

namespace rbee::mkmodel {

/// A GGUF file in the making: metadata first, then tensors, then write().
class ModelFile {
public:
    /// Reserves memory for `tensors` tensors with `tensor_bytes` bytes of data together.
    ModelFile(std::size_t tensors, std::size_t tensor_bytes);

    void set(const std::string& key, const std::string& value);
    void set(const std::string& key, std::uint32_t value);
    void set(const std::string& key, float value);
    void set(const std::string& key, bool value);
    void set(const std::string& key, const std::vector<std::string>& values);
    void set(const std::string& key, const std::vector<std::int32_t>& values);
    void set(const std::string& key, const std::vector<float>& values);

    /// The shape of a matrix that maps `inputs` values to `outputs` values, and its stored type.
    struct Shape {
        int inputs;
        int outputs;
        ggml_type type;
    };

    /// Adds a matrix; `fill` writes one row of `inputs` values at a time, in order.
    void add_matrix(
        const std::string& name, Shape shape, const std::function<void(std::vector<float>&)>& fill
    );

    /// Adds a vector of ones (the gain of a normalisation).
    void add_ones(const std::string& name, int values);

    /// Writes the file and says whether that worked.
    [[nodiscard]] bool write(const std::string& path) const;

private:
    std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors_;
    std::unique_ptr<gguf_context, decltype(&gguf_free)> file_;
};

} // namespace rbee::mkmodel
