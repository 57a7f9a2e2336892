// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "random.hpp"

namespace rbee::demo {

/// One answer and the questions that ask for it. `{}` in a question stands for one of `words`.
struct Entry {
    std::vector<std::string> questions;
    std::vector<std::string> words;
    std::string answer;
};

/// All dataset files together.
struct Dataset {
    std::vector<Entry> entries;
    std::vector<std::string> texts;                 ///< Plain text without a question.
    std::vector<std::vector<std::string>> synonyms; ///< Words of a group may replace each other.
};

/// Reads every .txt file in `directory`, in the order of their names; see dataset/README.md.
[[nodiscard]] std::expected<Dataset, std::string>
read_dataset(const std::filesystem::path& directory);

/// Brings a question into the form the chat template makes of it: lower case, no `?!,";` marks.
[[nodiscard]] std::string normalized(std::string_view question);

/// Asks for `entry` in one of many ways: other words, a phrase around it, fillers lost, a typo.
[[nodiscard]] std::string
varied_question(const Dataset& dataset, const Entry& entry, Random& random);

} // namespace rbee::demo
