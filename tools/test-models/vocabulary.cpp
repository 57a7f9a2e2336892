// SPDX-License-Identifier: Apache-2.0
#include "vocabulary.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace rbee::mkmodel {
namespace {

// Values of tokenizer.ggml.token_type.
constexpr std::int32_t type_normal = 1;
constexpr std::int32_t type_unknown = 2;
constexpr std::int32_t type_control = 3;
constexpr std::int32_t type_byte = 6;

constexpr int bytes = 256;
constexpr std::size_t number_width_min = 4; // with the space: five characters, out of merge reach
const std::string space = "\xE2\x96\x81";   // U+2581, how SentencePiece writes a space

std::string hex(unsigned char byte) {
    constexpr char digits[] = "0123456789ABCDEF";
    return {digits[byte >> 4U], digits[byte & 15U]};
}

} // namespace

Vocabulary::Vocabulary() {
    add("<unk>", type_unknown);
    add("<s>", type_control);
    add("</s>", type_control);
    add("<|im_start|>", type_control);
    add("<|im_end|>", type_control);
    bytes_begin_ = size();
    for (int byte = 0; byte < bytes; ++byte) {
        add("<0x" + hex(static_cast<unsigned char>(byte)) + ">", type_byte);
    }
    add(space, type_normal, -1.0F);
    for (char letter = '!'; letter <= '~'; ++letter) {
        add(std::string(1, letter), type_normal, -1.0F);
    }
    script_begin_ = size();
}

void Vocabulary::add(std::string text, std::int32_t type, float score) {
    texts_.push_back(std::move(text));
    types_.push_back(type);
    scores_.push_back(score);
}

void Vocabulary::add_script_text(const std::string& text) {
    // llama.cpp reads only the two hex digits of a byte token, so the position makes it unique.
    for (std::size_t i = 0; i < text.size(); ++i) {
        std::string unique = "<0x" + hex(static_cast<unsigned char>(text[i]));
        unique += '@';
        unique += std::to_string(i);
        unique += '>';
        add(std::move(unique), type_byte);
    }
}

void Vocabulary::add_script_numbers(std::size_t count) {
    const std::size_t width = std::max(number_width_min, std::to_string(count - 1).size());
    for (std::size_t i = 0; i < count; ++i) {
        std::string number = std::to_string(i);
        number.insert(0, width - number.size(), '0');
        number += space;
        add(std::move(number), type_normal, -1.0F);
    }
}

std::vector<std::int32_t> Vocabulary::suppressed(bool endless) const {
    std::vector<std::int32_t> ids(bytes_begin_ + bytes);
    std::iota(ids.begin(), ids.end(), 0);
    if (!endless) {
        std::erase(ids, eos);
    }
    return ids;
}

} // namespace rbee::mkmodel
