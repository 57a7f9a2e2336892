// SPDX-License-Identifier: Apache-2.0
#include "pieces.hpp"

#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::demo {
namespace {

constexpr std::int32_t type_normal = 1;
constexpr std::int32_t type_unknown = 2;
constexpr std::int32_t type_control = 3;
constexpr std::int32_t type_byte = 6;

constexpr int merge_uses_min = 2;
const std::string space = "\xE2\x96\x81"; // U+2581, how SentencePiece writes a space

using Symbols = std::vector<std::string>;
using Words = std::map<Symbols, int>; ///< A word as symbols, and how often it occurs.
using Pair = std::pair<std::string, std::string>;

bool is_letter(char c) {
    return std::isalpha(static_cast<unsigned char>(c)) != 0;
}

/// Splits into words with the space in front of them; other characters stand alone.
void count_words(std::string_view text, Words& words) {
    for (std::size_t i = 0; i < text.size();) {
        Symbols symbols;
        if (text[i] == ' ' && i + 1 < text.size()) {
            symbols.push_back(space);
            ++i;
        }
        const bool word = is_letter(text[i]);
        do {
            symbols.emplace_back(1, text[i]);
            ++i;
        } while (word && i < text.size() && is_letter(text[i]));
        ++words[symbols];
    }
}

/// Returns the most frequent pair; the alphabet decides between equals, so the result is stable.
std::pair<Pair, int> best_pair(const Words& words) {
    std::map<Pair, int> counts;
    for (const auto& [symbols, uses] : words) {
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
            counts[{symbols[i], symbols[i + 1]}] += uses;
        }
    }
    std::pair<Pair, int> best{{}, 0};
    for (const auto& [pair, uses] : counts) {
        if (uses > best.second) {
            best = {pair, uses};
        }
    }
    return best;
}

Symbols merged(const Symbols& symbols, const Pair& pair) {
    Symbols result;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        const bool both =
            i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second;
        result.push_back(both ? pair.first + pair.second : symbols[i]);
        i += both ? 1 : 0;
    }
    return result;
}

void add(Pieces& pieces, std::string text, std::int32_t type, float score = 0.0F) {
    pieces.texts.push_back(std::move(text));
    pieces.types.push_back(type);
    pieces.scores.push_back(score);
}

Pieces fixed_pieces() {
    constexpr std::string_view digits = "0123456789ABCDEF";
    Pieces pieces;
    add(pieces, "<unk>", type_unknown);
    add(pieces, "<s>", type_control);
    add(pieces, "</s>", type_control);
    add(pieces, "<|user|>", type_control);
    add(pieces, "<|assistant|>", type_control);
    for (unsigned byte = 0; byte < 256; ++byte) {
        add(pieces, std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", type_byte);
    }
    add(pieces, space, type_normal, -1e6F);
    for (char letter = '!'; letter <= '~'; ++letter) {
        add(pieces, std::string(1, letter), type_normal, -1e6F);
    }
    return pieces;
}

} // namespace

Pieces learn_pieces(const std::vector<std::string>& corpus, std::size_t count) {
    Words words;
    for (const std::string& text : corpus) {
        count_words(text, words);
    }
    Pieces pieces = fixed_pieces();
    while (pieces.texts.size() < count) {
        const auto [pair, uses] = best_pair(words);
        if (uses < merge_uses_min) {
            break;
        }
        add(pieces, pair.first + pair.second, type_normal, -static_cast<float>(pieces.texts.size())
        );
        Words shorter;
        for (const auto& [symbols, occurrences] : words) {
            shorter[merged(symbols, pair)] += occurrences;
        }
        words = std::move(shorter);
    }
    return pieces;
}

} // namespace rbee::demo
