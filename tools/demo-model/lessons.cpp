// SPDX-License-Identifier: Apache-2.0
#include "lessons.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dataset.hpp"
#include "network.hpp"
#include "pieces.hpp"
#include "random.hpp"
#include "tokenizer.hpp"

namespace rbee::demo {
namespace {

constexpr double text_chance = 0.08;
constexpr double answer_as_text_chance = 0.06;
constexpr std::size_t question_tokens_max = 60;

} // namespace

Lessons::Lessons(const Dataset& dataset, const Tokenizer& tokenizer, NetworkShape shape)
    : dataset_(dataset), tokenizer_(tokenizer), shape_(shape) {
    const auto room = static_cast<std::size_t>(shape_.row_tokens);
    for (std::size_t i = 0; i < dataset_.entries.size(); ++i) {
        const Entry& entry = dataset_.entries[i];
        entry_lots_.insert(entry_lots_.end(), entry.questions.size() + entry.words.size(), i);
        if (tokenizer_.tokens(entry.answer).size() + question_tokens_max > room) {
            throw std::runtime_error("too long an answer: " + entry.answer);
        }
    }
    for (const std::string& text : dataset_.texts) {
        if (plain(text).tokens.size() > room) {
            throw std::runtime_error("too long a text: " + text);
        }
    }
}

Lessons::Document Lessons::question_and_answer(const Entry& entry, Random& random) const {
    const std::string question =
        "<|user|> " + varied_question(dataset_, entry, random) + "<|assistant|>";
    Document document{.tokens = tokenizer_.tokens(question)};
    document.learned_from = document.tokens.size();
    // The whole is read at once, as a chat server reads it when it continues an answer.
    document.tokens = tokenizer_.tokens(question + entry.answer);
    document.tokens.push_back(Pieces::eos);
    return document;
}

Lessons::Document Lessons::plain(const std::string& text) const {
    Document document{.tokens = tokenizer_.tokens(text), .learned_from = 1};
    document.tokens.push_back(Pieces::eos);
    return document;
}

Lessons::Document Lessons::pick(Random& random) const {
    if (!dataset_.texts.empty() && random.chance(text_chance)) {
        return plain(dataset_.texts[random.below(dataset_.texts.size())]);
    }
    if (random.chance(answer_as_text_chance)) {
        return plain(dataset_.entries[random.below(dataset_.entries.size())].answer);
    }
    const auto room = static_cast<std::size_t>(shape_.row_tokens);
    for (;;) {
        const std::size_t entry = entry_lots_[random.below(entry_lots_.size())];
        Document document = question_and_answer(dataset_.entries[entry], random);
        if (document.tokens.size() <= room) {
            return document;
        }
    }
}

void Lessons::append(Batch& batch, const Document& document) const {
    const std::size_t count = document.tokens.size();
    for (std::size_t i = 0; i < count; ++i) {
        const bool learned = i + 1 < count && i + 1 >= document.learned_from;
        batch.tokens.push_back(document.tokens[i]);
        batch.positions.push_back(static_cast<std::int32_t>(i));
        batch.documents.push_back(document_number_);
        batch.targets.push_back(learned ? document.tokens[i + 1] : Batch::no_target);
    }
}

Batch Lessons::next(Random& random) {
    Batch batch;
    const auto row = static_cast<std::size_t>(shape_.row_tokens);
    const auto total = static_cast<std::size_t>(shape_.batch_tokens());
    while (batch.tokens.size() < total) {
        Document document = waiting_.tokens.empty() ? pick(random) : std::exchange(waiting_, {});
        const std::size_t left = row - (batch.tokens.size() % row);
        ++document_number_;
        if (document.tokens.size() <= left) {
            append(batch, document);
        } else {
            waiting_ = std::move(document);
            append(
                batch, {.tokens = std::vector<std::int32_t>(left, Pieces::eos), .learned_from = row}
            );
        }
    }
    return batch;
}

} // namespace rbee::demo
