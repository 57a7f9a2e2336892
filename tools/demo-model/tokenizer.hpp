// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "llama.h"

namespace rbee::demo {

/// Reads text exactly as llama.cpp will, because it is llama.cpp that reads it.
class Tokenizer {
public:
    /// Loads only the vocabulary of the GGUF file `path`; throws std::runtime_error on failure.
    explicit Tokenizer(const std::string& path);

    /// Returns the tokens of `text` behind a begin token; <|user|> and <|assistant|> are markers.
    [[nodiscard]] std::vector<std::int32_t> tokens(const std::string& text) const;

private:
    std::unique_ptr<llama_model, void (*)(llama_model*)> model_;
};

} // namespace rbee::demo
