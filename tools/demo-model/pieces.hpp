// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rbee::demo {

/// The token list of the demo model, in the SentencePiece form that llama.cpp calls "llama".
///
/// Fixed tokens come first, then 256 bytes, single characters, and pieces in the order in which
/// byte-pair merging found them; a piece's score is its rank, so that llama.cpp merges alike.
struct Pieces {
    static constexpr std::int32_t unknown = 0;
    static constexpr std::int32_t bos = 1;
    static constexpr std::int32_t eos = 2;
    static constexpr std::int32_t user = 3;
    static constexpr std::int32_t assistant = 4;
    static constexpr std::int32_t first_normal = 5 + 256;

    std::vector<std::string> texts;
    std::vector<std::int32_t> types;
    std::vector<float> scores;
};

/// Learns at most `count` tokens from the words of `corpus`; common words become one piece each.
[[nodiscard]] Pieces learn_pieces(const std::vector<std::string>& corpus, std::size_t count);

} // namespace rbee::demo
