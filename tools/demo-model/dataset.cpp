// SPDX-License-Identifier: Apache-2.0
#include "dataset.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <expected>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "random.hpp"

namespace rbee::demo {
namespace {

constexpr std::array<std::string_view, 16> openings{
    "please",
    "hey",
    "hi",
    "so",
    "ok",
    "well",
    "hello",
    "can you tell me",
    "tell me",
    "i would like to know",
    "could you explain",
    "please tell me",
    "do you know",
    "quick question",
    "explain",
    "i want to know",
};
constexpr std::array<std::string_view, 8> closings{
    "please",
    "thanks",
    "in short",
    "exactly",
    "for me",
    "now",
    "then",
    "again",
};
constexpr std::array<std::string_view, 16> fillers{
    "a",
    "the",
    "is",
    "are",
    "do",
    "does",
    "i",
    "to",
    "of",
    "in",
    "my",
    "can",
    "you",
    "please",
    "an",
    "it",
};

constexpr std::array<std::string_view, 24> noises{
    "actually", "really", "just",    "whole", "one",  "some",    "here",   "currently",
    "keep",     "always", "exactly", "will",  "be",   "this",    "that",   "system",
    "possible", "with",   "quickly", "and",   "your", "usually", "simply", "would",
};

constexpr double opening_chance = 0.2;
constexpr double closing_chance = 0.08;
constexpr double filler_loss_chance = 0.08;
constexpr double noise_chance = 0.04;
constexpr double word_loss_chance = 0.02;
constexpr double synonym_chance = 0.15;
constexpr double typo_chance = 0.04;
constexpr std::size_t typo_letters_min = 5;
constexpr std::size_t phrase_words_min = 3;
constexpr std::size_t long_phrase_words_min = 5;

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), {}};
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

void misspell(std::string& word, Random& random) {
    const std::size_t place = 1 + random.below(word.size() - 2);
    if (random.chance(0.5)) {
        word.erase(place, 1);
    } else {
        std::swap(word[place], word[place - 1]);
    }
}

void replace_by_synonym(std::string& word, const Dataset& dataset, Random& random) {
    for (const auto& group : dataset.synonyms) {
        if (std::ranges::find(group, word) != group.end()) {
            word = group[random.below(group.size())];
            return;
        }
    }
}

/// Loses and adds words that hardly change the meaning, so that the network learns to see past
/// them.
void disturb(std::vector<std::string>& words, Random& random) {
    const double loss = words.size() < long_phrase_words_min ? 0.0 : word_loss_chance;
    std::vector<std::string> kept;
    for (std::string& word : words) {
        const bool filler = std::ranges::find(fillers, word) != fillers.end();
        if (random.chance(noise_chance)) {
            kept.emplace_back(noises[random.below(noises.size())]);
        }
        if (!random.chance(filler ? filler_loss_chance : loss)) {
            kept.push_back(std::move(word));
        }
    }
    words = std::move(kept);
}

/// Reads one file line by line; the letters are explained in dataset/README.md.
std::expected<void, std::string> read_file(const std::filesystem::path& path, Dataset& dataset) {
    std::ifstream file(path);
    Entry entry;
    int number = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        if (line.empty() || line.starts_with('#')) {
            continue;
        }
        const std::string text = line.size() > 3 ? line.substr(3) : std::string();
        if (line.starts_with("Q: ")) {
            entry.questions.push_back(normalized(text));
        } else if (line.starts_with("W: ")) {
            std::ranges::move(words_of(text), std::back_inserter(entry.words));
        } else if (line.starts_with("T: ")) {
            dataset.texts.push_back(text);
        } else if (line.starts_with("S: ")) {
            dataset.synonyms.push_back(words_of(text));
        } else if (line.starts_with("A: ") && !entry.questions.empty()) {
            entry.answer = text;
            dataset.entries.push_back(std::exchange(entry, {}));
        } else {
            return std::unexpected(path.string() + ":" + std::to_string(number) + ": unexpected");
        }
    }
    return {};
}

} // namespace

std::expected<Dataset, std::string> read_dataset(const std::filesystem::path& directory) {
    std::vector<std::filesystem::path> paths;
    std::error_code code;
    for (const auto& file : std::filesystem::directory_iterator(directory, code)) {
        if (file.path().extension() == ".txt") {
            paths.push_back(file.path());
        }
    }
    std::ranges::sort(paths);
    Dataset dataset;
    for (const auto& path : paths) {
        if (auto read = read_file(path, dataset); !read) {
            return std::unexpected(read.error());
        }
    }
    if (dataset.entries.empty()) {
        return std::unexpected("no questions in " + directory.string());
    }
    return dataset;
}

std::string normalized(std::string_view question) {
    std::string text;
    for (const char letter : question) {
        if (std::string_view("?!,\";").find(letter) == std::string_view::npos) {
            text += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
        }
    }
    return joined(words_of(text));
}

std::string varied_question(const Dataset& dataset, const Entry& entry, Random& random) {
    std::string question = entry.questions[random.below(entry.questions.size())];
    if (const auto gap = question.find("{}"); gap != std::string::npos && !entry.words.empty()) {
        question.replace(gap, 2, entry.words[random.below(entry.words.size())]);
    }
    std::vector<std::string> words = words_of(question);
    if (words.size() < phrase_words_min) {
        return question;
    }
    disturb(words, random);
    for (std::string& word : words) {
        if (random.chance(synonym_chance)) {
            replace_by_synonym(word, dataset, random);
        }
        if (word.size() >= typo_letters_min && random.chance(typo_chance)) {
            misspell(word, random);
        }
    }
    if (random.chance(opening_chance)) {
        words.insert(words.begin(), std::string(openings[random.below(openings.size())]));
    }
    if (random.chance(closing_chance)) {
        words.emplace_back(closings[random.below(closings.size())]);
    }
    return joined(words);
}

} // namespace rbee::demo
