// SPDX-License-Identifier: Apache-2.0
#include "model_file.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ggml.h"
#include "gguf.h"

namespace rbee::mkmodel {
namespace {

constexpr std::size_t alignment_bytes = 64; // upper bound of the padding per tensor

} // namespace

ModelFile::ModelFile(std::size_t tensors, std::size_t tensor_bytes)
    : tensors_(
          ggml_init(
              {.mem_size = tensor_bytes + (tensors * (ggml_tensor_overhead() + alignment_bytes)),
               .mem_buffer = nullptr,
               .no_alloc = false}
          ),
          &ggml_free
      ),
      file_(gguf_init_empty(), &gguf_free) {}

void ModelFile::set(const std::string& key, const std::string& value) {
    gguf_set_val_str(file_.get(), key.c_str(), value.c_str());
}

void ModelFile::set(const std::string& key, std::uint32_t value) {
    gguf_set_val_u32(file_.get(), key.c_str(), value);
}

void ModelFile::set(const std::string& key, float value) {
    gguf_set_val_f32(file_.get(), key.c_str(), value);
}

void ModelFile::set(const std::string& key, bool value) {
    gguf_set_val_bool(file_.get(), key.c_str(), value);
}

void ModelFile::set(const std::string& key, const std::vector<std::string>& values) {
    std::vector<const char*> pointers(values.size());
    std::ranges::transform(values, pointers.begin(), [](const std::string& s) {
        return s.c_str();
    });
    gguf_set_arr_str(file_.get(), key.c_str(), pointers.data(), pointers.size());
}

void ModelFile::set(const std::string& key, const std::vector<std::int32_t>& values) {
    gguf_set_arr_data(file_.get(), key.c_str(), GGUF_TYPE_INT32, values.data(), values.size());
}

void ModelFile::set(const std::string& key, const std::vector<float>& values) {
    gguf_set_arr_data(file_.get(), key.c_str(), GGUF_TYPE_FLOAT32, values.data(), values.size());
}

void ModelFile::add_matrix(
    const std::string& name, Shape shape, const std::function<void(std::vector<float>&)>& fill
) {
    ggml_tensor* tensor =
        ggml_new_tensor_2d(tensors_.get(), shape.type, shape.inputs, shape.outputs);
    ggml_set_name(tensor, name.c_str());
    std::vector<float> row(static_cast<std::size_t>(shape.inputs));
    for (int i = 0; i < shape.outputs; ++i) {
        fill(row);
        auto* target =
            static_cast<char*>(tensor->data) + (static_cast<std::size_t>(i) * tensor->nb[1]);
        ggml_quantize_chunk(shape.type, row.data(), target, 0, 1, shape.inputs, nullptr);
    }
    gguf_add_tensor(file_.get(), tensor);
}

void ModelFile::add_ones(const std::string& name, int values) {
    ggml_tensor* tensor = ggml_new_tensor_1d(tensors_.get(), GGML_TYPE_F32, values);
    ggml_set_name(tensor, name.c_str());
    std::fill_n(static_cast<float*>(tensor->data), values, 1.0F);
    gguf_add_tensor(file_.get(), tensor);
}

bool ModelFile::write(const std::string& path) const {
    return gguf_write_to_file(file_.get(), path.c_str(), false);
}

} // namespace rbee::mkmodel
