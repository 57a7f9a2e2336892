#pragma once

#include "rbee/engine/engine.hpp"
#include "rbee/worker/app.hpp"

#include <memory>
#include <string>
#include <vector>

namespace rbee::worker {

/// What llm-worker-rbee does from its arguments (without the program's name) to its exit code, on
/// the main thread. Prints what a person at a terminal needs.
[[nodiscard]] int run_program(
    const std::vector<std::string>& arguments,
    Surroundings around,
    std::unique_ptr<engine::Engine> engine
);

} // namespace rbee::worker
