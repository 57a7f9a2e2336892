// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "network.hpp"
#include "pieces.hpp"

namespace rbee::demo {

/// Writes the network with its vocabulary and chat template as a GGUF model with f16 matrices.
/// Returns false when the file cannot be written.
[[nodiscard]] bool
export_model(const std::string& path, const Pieces& pieces, const Network& network);

} // namespace rbee::demo
