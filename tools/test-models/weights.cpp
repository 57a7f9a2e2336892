// SPDX-License-Identifier: Apache-2.0
#include "weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "options.hpp"
#include "rng.hpp"
#include "vocabulary.hpp"

namespace rbee::mkmodel {
namespace {

// Logit of the scripted token = gain * embd: 512 for the smallest preset, next best about 300.
constexpr float script_gain = 8.0F;

} // namespace

TokenMatrices random_tokens(const Dimensions& size, std::size_t tokens, Rng& rng) {
    const std::size_t cells = tokens * static_cast<std::size_t>(size.embd);
    TokenMatrices matrices{
        .embedding = std::vector<float>(cells), .output = std::vector<float>(cells)
    };
    const float output_limit = 2.0F * std::sqrt(3.0F / static_cast<float>(size.embd));
    std::ranges::generate(matrices.embedding, [&] { return rng.symmetric(1.0F); });
    std::ranges::generate(matrices.output, [&] { return rng.symmetric(output_limit); });
    return matrices;
}

TokenMatrices scripted_tokens(const Options& options, const Vocabulary& vocabulary, Rng& rng) {
    const auto embd = static_cast<std::size_t>(options.size.embd);
    const std::size_t first = vocabulary.script_begin();
    const std::size_t tokens = vocabulary.size();
    TokenMatrices matrices{
        .embedding = std::vector<float>(tokens * embd),
        .output = std::vector<float>(tokens * embd),
    };
    const auto row = [&](std::vector<float>& matrix, std::size_t token) {
        return matrix.begin() + static_cast<std::ptrdiff_t>(token * embd);
    };
    std::ranges::generate(matrices.embedding, [&] { return rng.sign(); });
    // All tokens outside the script look alike: whatever ends the prompt, the answer is the same.
    for (std::size_t token = 1; token < first; ++token) {
        std::copy_n(row(matrices.embedding, 0), embd, row(matrices.embedding, token));
    }
    const auto follow = [&](std::size_t from, std::size_t to) {
        std::transform(
            row(matrices.embedding, from),
            row(matrices.embedding, from + 1),
            row(matrices.output, to),
            row(matrices.output, to),
            [](float seen, float sum) { return sum + (script_gain * seen); }
        );
    };
    follow(0, first + options.start);
    for (std::size_t token = first; token + 1 < tokens; ++token) {
        follow(token, token + 1);
    }
    follow(tokens - 1, options.endless ? first : static_cast<std::size_t>(Vocabulary::eos));
    return matrices;
}

} // namespace rbee::mkmodel
