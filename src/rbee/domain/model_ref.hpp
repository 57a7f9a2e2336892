#pragma once

#include "rbee/base/result.hpp"

#include <string>
#include <string_view>

namespace rbee::domain {

/// A reference to a model, as people and programs write it:
///   file:/abs/path/model.gguf   a file on the machine of the hive (also file:///abs/path)
///   hf:org/repo                 a repository of the Hugging Face hub; @revision and ::file=name
///                               may follow
///   some-name                   a name in the hive's models directory
struct ModelRef {
    enum class Provider { file, hub, name };
    Provider provider = Provider::name;
    std::string reference; ///< What follows the scheme: a path, org/repo or a name.

    /// Canonical text; parses back to the same value.
    [[nodiscard]] std::string to_string() const;
    /// Short name for the `model` field of the OpenAI API: the file name without ".gguf", the last
    /// part of a repository, or the name itself.
    [[nodiscard]] std::string model_name() const;

    bool operator==(const ModelRef&) const = default;
};

/// Parses 1-512 characters of [A-Za-z0-9._/:@=+-] and space-free; refuses "..", shell characters
/// and control characters (behaviour.md 10.1). Fails with Errc::invalid_argument and wire code
/// INVALID_MODEL_REF; the message names the accepted forms and never repeats the input.
[[nodiscard]] Result<ModelRef> parse_model_ref(std::string_view text);

/// The same for what a worker is to be started with: names of installed models hold no '/', so
/// org/repo without its scheme is refused. (In the `model` field of requests such names are fine.)
[[nodiscard]] Result<ModelRef> parse_spawn_ref(std::string_view text);

} // namespace rbee::domain
