#pragma once

#include "rbee/base/result.hpp"
#include "rbee/domain/model_ref.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace rbee::hive {

/// A model file that a worker can load.
struct Model {
    domain::ModelRef ref;
    std::string name;             ///< Short name, for the `model` field of requests.
    std::string path;             ///< Canonical; of a model in several files the first one.
    std::uint64_t size_bytes = 0; ///< Of all files together.
};

/// Where models come from. Implementations may block and must be thread-safe.
class ModelProvider {
public:
    virtual ~ModelProvider() = default;
    /// Finds the file of a model. Fails with Errc::not_found (MODEL_NOT_FOUND, naming the models
    /// that are there), Errc::unsupported, Errc::forbidden or Errc::io; no message holds a path.
    [[nodiscard]] virtual Result<Model> resolve(const domain::ModelRef& ref) const = 0;
    /// The model in a file below a models directory, without symlinks on the way. `path` has
    /// passed domain::check_relative_path. Fails with Errc::invalid_argument, Errc::not_found or
    /// Errc::unsupported; no message holds a path.
    [[nodiscard]] virtual Result<Model> resolve_path(const std::string& path) const {
        (void)path;
        return fail(Errc::unsupported, "model_path is not supported here");
    }
    /// All models by name, sorted.
    [[nodiscard]] virtual std::vector<Model> list() const = 0;
};

} // namespace rbee::hive
