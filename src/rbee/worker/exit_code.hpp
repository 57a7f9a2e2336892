#pragma once

#include "rbee/base/result.hpp"

namespace rbee::worker {

/// What a worker ends with that cannot load its model, from sysexits.h: whoever restarts workers
/// must know whether another try can help. It can where memory was short.
[[nodiscard]] int exit_code_of(const Error& error);

} // namespace rbee::worker
