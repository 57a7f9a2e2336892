// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rbee::mkmodel {

/// The tokens of a test model: markers, 256 bytes, printable ASCII, and the steps of a script.
///
/// Prompts are read byte by byte or character by character: no token of two characters exists, so
/// the SentencePiece merges of llama.cpp never reach the longer texts of script tokens. A prompt
/// therefore cannot contain a script token by accident, and always starts the script at its begin.
class Vocabulary {
public:
    static constexpr std::int32_t unknown = 0;
    static constexpr std::int32_t bos = 1;
    static constexpr std::int32_t eos = 2;

    Vocabulary();

    /// Adds one token per byte of `text`; each is unique and is written out as just that byte.
    void add_script_text(const std::string& text);

    /// Adds `count` tokens that read "0000 ", "0001 " and so on, all of the same width.
    void add_script_numbers(std::size_t count);

    /// Tokens that must never be sampled: markers and raw bytes, and EOS when `endless`.
    [[nodiscard]] std::vector<std::int32_t> suppressed(bool endless) const;

    /// The number of tokens in front of the first script token.
    [[nodiscard]] std::size_t script_begin() const { return script_begin_; }
    [[nodiscard]] std::size_t size() const { return texts_.size(); }
    [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }
    [[nodiscard]] const std::vector<std::int32_t>& types() const { return types_; }
    [[nodiscard]] const std::vector<float>& scores() const { return scores_; }

private:
    void add(std::string text, std::int32_t type, float score = 0.0F);

    std::vector<std::string> texts_;
    std::vector<std::int32_t> types_;
    std::vector<float> scores_;
    std::size_t bytes_begin_ = 0;
    std::size_t script_begin_ = 0;
};

} // namespace rbee::mkmodel
