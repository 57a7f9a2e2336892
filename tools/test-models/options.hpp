// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "ggml.h"

namespace rbee::mkmodel {

enum class Kind { random, scripted };

/// The size of a model; presets fill it and single flags override it.
struct Dimensions {
    int layers = 2;
    int embd = 64;
    int ff = 128;
    ggml_type type = GGML_TYPE_F32;

    /// Attention heads; half as many key/value heads are used.
    [[nodiscard]] int heads() const { return embd < 512 ? 4 : 8; }
    [[nodiscard]] int heads_kv() const { return heads() / 2; }
    [[nodiscard]] int embd_kv() const { return embd / heads() * heads_kv(); }
};

/// Everything the command line can say.
struct Options {
    std::string out;
    std::string name;
    Kind kind = Kind::random;
    Dimensions size;
    int ctx = 4096;
    std::uint64_t seed = 1;
    bool endless = false;  ///< Generation never ends: EOS cannot be sampled, a script cycles.
    bool tools = false;    ///< Use the chat template that shows tools to the model.
    std::string text;      ///< What a scripted model says, one token per byte.
    std::size_t count = 0; ///< Instead of text: this many numbers, one token each.
    std::size_t start = 0; ///< Script position at which each answer begins.
    bool help = false;
};

/// Reads the command line (without the program name). The error is one line for the user.
[[nodiscard]] std::expected<Options, std::string> parse_options(std::span<char* const> arguments);

/// Returns the text of --help.
[[nodiscard]] std::string_view usage();

} // namespace rbee::mkmodel
