#pragma once

#include "rbee/hive/model_provider.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace rbee::hive {

/// Models in directories: `<name>.gguf`, `<name>-00001-of-00003.gguf` (a model in several files)
/// and `<name>/` with one model inside. Hidden files and vision projectors (mmproj*) are passed
/// over. What leads out of its directory through a symbolic link is not offered. The directories
/// are read at each call, so a file that was put there is found at once; the first directory that
/// has a name wins.
class ModelDirectory final : public ModelProvider {
public:
    explicit ModelDirectory(std::vector<std::string> directories)
        : directories_(std::move(directories)) {}

    [[nodiscard]] Result<Model> resolve(const domain::ModelRef& ref) const override;
    [[nodiscard]] Result<Model> resolve_path(const std::string& path) const override;
    [[nodiscard]] std::vector<Model> list() const override;

private:
    [[nodiscard]] std::map<std::string, Model> scan() const;

    std::vector<std::string> directories_;
};

} // namespace rbee::hive
