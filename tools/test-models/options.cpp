// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <fstream>
#include <functional>
#include <ios>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "ggml.h"

namespace rbee::mkmodel {
namespace {

constexpr std::string_view usage_text =
    R"(rbee-mkmodel: writes a tiny, deterministic GGUF model for tests

  --out FILE        where to write the model (required)
  --kind KIND       random: random weights, real attention (default)
                    scripted: says the given text, then ends, whatever the prompt and sampling
  --preset SIZE     tiny (default), mid, slow or big: see README.md
  --layers N --embd N --ff N --type f32|f16|q8_0|q4_0
                    override single values of the preset
  --ctx N           context length in the metadata (default 4096, more for a long script)
  --seed N          same seed, same file (default 1)
  --eos MODE        normal (default), or never: generation ends only at the client's limit
  --name NAME       general.name (default: KIND-PRESET, for example random-tiny)
  --tools           chat template that shows tools; <tool_call>{...}</tool_call> becomes a call

scripted only:
  --text TEXT       what to say: any bytes, one token per byte
  --text-file FILE  the same, read from a file
  --count N         say the numbers 0..N-1, one token each ("0007 "), over and over
  --cycle           after the end start over, for ever (same as --eos never)
  --start N         begin each answer at script token N (default 0)
)";

using Problem = std::optional<std::string>;

template <typename Number>
Problem read_number(std::string_view text, Number low, Number high, Number& value) {
    const char* begin = text.data();
    const char* end = begin + text.size();
    const auto [rest, code] = std::from_chars(begin, end, value);
    if (code != std::errc() || rest != end || value < low || value > high) {
        return "expected a number from " + std::to_string(low) + " to " + std::to_string(high);
    }
    return std::nullopt;
}

template <typename Value>
Problem pick(const std::map<std::string_view, Value>& table, std::string_view text, Value& value) {
    const auto found = table.find(text);
    if (found == table.end()) {
        std::string known;
        for (const auto& [name, unused] : table) {
            known += " " + std::string(name);
        }
        return "expected one of:" + known;
    }
    value = found->second;
    return std::nullopt;
}

Problem read_file(std::string_view path, std::string& text) {
    std::ifstream file{std::string(path), std::ios::binary};
    if (!file) {
        return "cannot read the file";
    }
    text.assign(std::istreambuf_iterator<char>(file), {});
    return std::nullopt;
}

const std::map<std::string_view, Dimensions>& presets() {
    static const std::map<std::string_view, Dimensions> table{
        {"tiny", {.layers = 2, .embd = 64, .ff = 128, .type = GGML_TYPE_F32}},
        {"mid", {.layers = 4, .embd = 512, .ff = 2048, .type = GGML_TYPE_Q8_0}},
        {"slow", {.layers = 8, .embd = 1024, .ff = 4096, .type = GGML_TYPE_Q4_0}},
        {"big", {.layers = 16, .embd = 2048, .ff = 6144, .type = GGML_TYPE_Q4_0}},
    };
    return table;
}

const std::map<std::string_view, ggml_type>& weight_types() {
    static const std::map<std::string_view, ggml_type> table{
        {"f32", GGML_TYPE_F32},
        {"f16", GGML_TYPE_F16},
        {"q8_0", GGML_TYPE_Q8_0},
        {"q4_0", GGML_TYPE_Q4_0},
    };
    return table;
}

/// Leaves room for a long script behind a prompt, in whole steps.
int context_for(std::size_t script_tokens) {
    constexpr std::size_t ctx_step = 4096;
    constexpr std::size_t prompt_tokens = 2048;
    const std::size_t steps =
        script_tokens < prompt_tokens ? 0 : (script_tokens + prompt_tokens) / ctx_step;
    return static_cast<int>((steps + 1) * ctx_step);
}

/// Collects the flags; values that override the preset wait until all flags are read.
class Parser {
public:
    std::expected<Options, std::string> parse(std::span<char* const> arguments);

private:
    Problem assign(std::string_view flag, std::string_view value);
    [[nodiscard]] bool toggle(std::string_view flag);
    std::expected<Options, std::string> finish();

    Options options_;
    std::string preset_ = "tiny";
    std::optional<int> layers_, embd_, ff_, ctx_;
    std::optional<ggml_type> type_;
};

std::expected<Options, std::string> Parser::parse(std::span<char* const> arguments) {
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view flag = arguments[i];
        if (toggle(flag)) {
            continue;
        }
        if (i + 1 == arguments.size()) {
            return std::unexpected("unknown flag or missing value: " + std::string(flag));
        }
        if (const Problem problem = assign(flag, arguments[++i])) {
            return std::unexpected(std::string(flag) + ": " + *problem);
        }
    }
    return finish();
}

bool Parser::toggle(std::string_view flag) {
    if (flag == "--help" || flag == "-h") {
        return options_.help = true;
    }
    if (flag == "--tools") {
        return options_.tools = true;
    }
    if (flag == "--cycle") {
        return options_.endless = true;
    }
    return false;
}

Problem Parser::assign(std::string_view flag, std::string_view value) {
    const auto text = [&](std::string& into) -> Problem {
        into = value;
        return std::nullopt;
    };
    const std::map<std::string_view, std::function<Problem()>> setters{
        {"--out", [&] { return text(options_.out); }},
        {"--name", [&] { return text(options_.name); }},
        {"--text", [&] { return text(options_.text); }},
        {"--text-file", [&] { return read_file(value, options_.text); }},
        {"--preset", [&] { return text(preset_); }},
        {"--kind",
         [&] {
             return pick<Kind>(
                 {{"random", Kind::random}, {"scripted", Kind::scripted}}, value, options_.kind
             );
         }},
        {"--eos",
         [&] { return pick<bool>({{"normal", false}, {"never", true}}, value, options_.endless); }},
        {"--type", [&] { return pick(weight_types(), value, type_.emplace()); }},
        {"--layers", [&] { return read_number(value, 1, 256, layers_.emplace()); }},
        {"--embd", [&] { return read_number(value, 32, 8192, embd_.emplace()); }},
        {"--ff", [&] { return read_number(value, 32, 32768, ff_.emplace()); }},
        {"--ctx", [&] { return read_number(value, 16, 1 << 24, ctx_.emplace()); }},
        {"--seed", [&] { return read_number<std::uint64_t>(value, 0, UINT64_MAX, options_.seed); }},
        {"--count", [&] { return read_number<std::size_t>(value, 2, 100000, options_.count); }},
        {"--start", [&] { return read_number<std::size_t>(value, 0, 1 << 24, options_.start); }},
    };
    const auto setter = setters.find(flag);
    return setter == setters.end() ? "unknown flag" : setter->second();
}

std::expected<Options, std::string> Parser::finish() {
    if (options_.help) {
        return options_;
    }
    if (options_.out.empty()) {
        return std::unexpected("--out is required");
    }
    Dimensions& size = options_.size;
    if (const Problem problem = pick(presets(), preset_, size)) {
        return std::unexpected("--preset: " + *problem);
    }
    size.layers = layers_.value_or(size.layers);
    size.embd = embd_.value_or(size.embd);
    size.ff = ff_.value_or(size.ff);
    size.type = type_.value_or(size.type);
    if (size.embd % 32 != 0 || size.ff % 32 != 0) {
        return std::unexpected("--embd and --ff must be multiples of 32");
    }
    const bool scripted = options_.kind == Kind::scripted;
    if (scripted != (!options_.text.empty() || options_.count > 0)) {
        return std::unexpected("--kind scripted and a non-empty --text or --count go together");
    }
    const std::size_t script_tokens = options_.count > 0 ? options_.count : options_.text.size();
    if (scripted && options_.start >= script_tokens) {
        return std::unexpected("--start lies behind the end of the script");
    }
    options_.endless = options_.endless || options_.count > 0;
    options_.ctx = ctx_.value_or(context_for(script_tokens));
    if (options_.name.empty()) {
        options_.name = (scripted ? "scripted-" : "random-") + preset_;
    }
    return options_;
}

} // namespace

std::expected<Options, std::string> parse_options(std::span<char* const> arguments) {
    return Parser().parse(arguments);
}

std::string_view usage() {
    return usage_text;
}

} // namespace rbee::mkmodel
