// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dataset.hpp"
#include "network.hpp"
#include "random.hpp"
#include "tokenizer.hpp"

namespace rbee::demo {

/// Turns the dataset into an endless series of batches: short documents, packed into rows.
///
/// A document is a varied question with its answer, of which only the answer is learned, or a
/// plain text (sometimes an answer without its question), which is learned as a whole.
class Lessons {
public:
    /// Throws std::runtime_error when an answer does not fit into a row.
    Lessons(const Dataset& dataset, const Tokenizer& tokenizer, NetworkShape shape);

    /// Returns the next batch.
    [[nodiscard]] Batch next(Random& random);

private:
    struct Document {
        std::vector<std::int32_t> tokens;
        std::size_t learned_from = 0; ///< The first token that the network must predict.
    };

    [[nodiscard]] Document question_and_answer(const Entry& entry, Random& random) const;
    [[nodiscard]] Document plain(const std::string& text) const;
    [[nodiscard]] Document pick(Random& random) const;
    void append(Batch& batch, const Document& document) const;

    const Dataset& dataset_;
    const Tokenizer& tokenizer_;
    NetworkShape shape_;
    std::vector<std::size_t> entry_lots_; ///< Each entry once per question and word it has.
    Document waiting_;                    ///< Did not fit into the row before; often empty.
    std::int32_t document_number_ = 0;
};

} // namespace rbee::demo
