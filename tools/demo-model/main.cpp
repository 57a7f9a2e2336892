// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "dataset.hpp"
#include "lessons.hpp"
#include "model_export.hpp"
#include "network.hpp"
#include "pieces.hpp"
#include "random.hpp"
#include "tokenizer.hpp"

namespace rbee::demo {
namespace {

constexpr std::string_view usage = R"(rbee-demo-train: trains the small model that rbee ships

  --dataset DIR   the .txt files to learn (default: dataset)
  --out FILE      the GGUF file to write (default: rbee-demo.gguf)
  --steps N       optimizer steps (default 1800)
  --stop N        end after this step of the schedule (default: at its end)
  --seed N        same seed and machine type, same model (default 1)
  --pieces N      size of the vocabulary at most (default 1500)
)";

constexpr float rate_peak = 2e-3F;
constexpr float rate_end = 5e-5F;
constexpr int warmup_steps = 60;
constexpr int report_steps = 50;
constexpr int phrasings_per_question = 2;

struct Options {
    std::string dataset = "dataset";
    std::string out = "rbee-demo.gguf";
    int steps = 1800;
    int stop = 0;
    int seed = 1;
    int pieces = 1500;
};

Options parse(std::span<char* const> arguments) {
    Options options;
    const std::map<std::string_view, std::string*> texts{
        {"--dataset", &options.dataset}, {"--out", &options.out}
    };
    const std::map<std::string_view, int*> numbers{
        {"--steps", &options.steps},
        {"--stop", &options.stop},
        {"--seed", &options.seed},
        {"--pieces", &options.pieces}
    };
    for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
        const std::string_view value = arguments[i + 1];
        if (const auto text = texts.find(arguments[i]); text != texts.end()) {
            *text->second = value;
        } else if (const auto number = numbers.find(arguments[i]); number != numbers.end()) {
            std::from_chars(value.begin(), value.end(), *number->second);
        } else {
            throw std::invalid_argument("unknown flag " + std::string(arguments[i]));
        }
    }
    if (arguments.size() % 2 != 0 || options.steps < 1 || options.seed < 0 ||
        options.pieces < 400) {
        throw std::invalid_argument("missing or bad value");
    }
    options.stop = options.stop > 0 ? std::min(options.stop, options.steps) : options.steps;
    return options;
}

/// All text the vocabulary should cover; questions in several phrasings, answers as they are.
std::vector<std::string> corpus_of(const Dataset& dataset, Random& random) {
    std::vector<std::string> corpus = dataset.texts;
    for (const Entry& entry : dataset.entries) {
        corpus.insert(corpus.end(), 3, entry.answer);
        for (const std::string& word : entry.words) {
            corpus.push_back(" " + word);
        }
        for (std::size_t i = 0; i < entry.questions.size() * phrasings_per_question; ++i) {
            corpus.push_back(" " + varied_question(dataset, entry, random));
        }
    }
    return corpus;
}

/// A short linear rise, then half a cosine down.
float learning_rate(int step, int steps) {
    const float rise = std::min(1.0F, static_cast<float>(step + 1) / warmup_steps);
    const float done = static_cast<float>(step) / static_cast<float>(steps);
    const float fall = 0.5F * (1.0F + std::cos(std::numbers::pi_v<float> * done));
    return rise * (rate_end + ((rate_peak - rate_end) * fall));
}

void save(const Options& options, const Pieces& pieces, const Network& network) {
    if (!export_model(options.out, pieces, network)) {
        throw std::runtime_error("cannot write " + options.out);
    }
}

void train(const Options& options) {
    const auto dataset = read_dataset(options.dataset);
    if (!dataset) {
        throw std::runtime_error(dataset.error());
    }
    Random random(static_cast<std::uint64_t>(options.seed));
    const Pieces pieces =
        learn_pieces(corpus_of(*dataset, random), static_cast<std::size_t>(options.pieces));
    Network network({.vocabulary = static_cast<int>(pieces.texts.size())}, random);
    save(options, pieces, network); // untrained, so that llama.cpp can read the vocabulary
    const Tokenizer tokenizer(options.out);
    Lessons lessons(*dataset, tokenizer, network.shape());
    std::cout << dataset->entries.size() << " answers, " << pieces.texts.size() << " pieces\n";

    const auto begin = std::chrono::steady_clock::now();
    float loss_sum = 0.0F;
    for (int step = 0; step < options.stop; ++step) {
        loss_sum += network.step(lessons.next(random), learning_rate(step, options.steps));
        if ((step + 1) % report_steps == 0 || step + 1 == options.stop) {
            const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
            const int reported = step % report_steps + 1;
            std::cout << "step " << step + 1 << "  loss " << loss_sum / static_cast<float>(reported)
                      << "  seconds " << static_cast<int>(spent.count()) << '\n'
                      << std::flush;
            loss_sum = 0.0F;
            save(options, pieces, network);
        }
    }
}

int run(std::span<char* const> arguments) {
    if (arguments.size() == 1 && std::string_view(arguments[0]) == "--help") {
        std::cout << usage;
        return EXIT_SUCCESS;
    }
    try {
        train(parse(arguments));
        return EXIT_SUCCESS;
    } catch (const std::exception& problem) {
        std::cerr << "rbee-demo-train: " << problem.what() << '\n';
        return EXIT_FAILURE;
    }
}

} // namespace
} // namespace rbee::demo

int main(int argc, char** argv) {
    return rbee::demo::run(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
}
