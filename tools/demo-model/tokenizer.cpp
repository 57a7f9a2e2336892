// SPDX-License-Identifier: Apache-2.0
#include "tokenizer.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "ggml.h"
#include "llama.h"

namespace rbee::demo {

Tokenizer::Tokenizer(const std::string& path) : model_(nullptr, &llama_model_free) {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    model_.reset(llama_model_load_from_file(path.c_str(), params));
    if (!model_) {
        throw std::runtime_error("cannot load the vocabulary of " + path);
    }
}

std::vector<std::int32_t> Tokenizer::tokens(const std::string& text) const {
    // No text has more tokens than bytes, plus the begin token.
    std::vector<std::int32_t> tokens(text.size() + 1);
    const int count = llama_tokenize(
        llama_model_get_vocab(model_.get()),
        text.data(),
        static_cast<std::int32_t>(text.size()),
        tokens.data(),
        static_cast<std::int32_t>(tokens.size()),
        true,
        true
    );
    tokens.resize(static_cast<std::size_t>(count));
    return tokens;
}

} // namespace rbee::demo
