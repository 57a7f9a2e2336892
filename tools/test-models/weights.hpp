// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "options.hpp"
#include "rng.hpp"
#include "vocabulary.hpp"

namespace rbee::mkmodel {

/// The two matrices that join tokens and hidden states: one row of `embd` values per token.
struct TokenMatrices {
    std::vector<float> embedding;
    std::vector<float> output;
};

/// Returns even random values: a flat, but context dependent, next-token distribution.
[[nodiscard]] TokenMatrices random_tokens(const Dimensions& size, std::size_t tokens, Rng& rng);

/// Returns matrices that make the next token a function of the current one.
///
/// Script token n is followed by n + 1; the last one by EOS, or by the first when `endless`; each
/// token outside the script by token `start` of it. The rows are random +-1 vectors, which are
/// almost orthogonal, and the layers add nothing (see layer weights), so the right token leads by
/// hundreds of logits: sampling settings cannot change the text.
[[nodiscard]] TokenMatrices
scripted_tokens(const Options& options, const Vocabulary& vocabulary, Rng& rng);

} // namespace rbee::mkmodel
