#pragma once

#include "rbee/base/result.hpp"

#include <cstdint>
#include <string>

namespace rbee::engine {

/// What the header of a GGUF file says.
struct ModelFile {
    std::string architecture;
    std::uint32_t layers = 0;
    std::uint64_t size_bytes = 0; ///< Of this file.
};

/// Reads and checks a model file before llama.cpp sees it. Errc::not_found when it is missing, io
/// when it cannot be read, corrupt when it is not a whole GGUF file.
[[nodiscard]] Result<ModelFile> inspect_model_file(const std::string& path);

} // namespace rbee::engine
