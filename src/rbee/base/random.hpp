#pragma once

#include <cstdint>

namespace rbee {

/// 64 random bits of the operating system. Thread-safe.
[[nodiscard]] std::uint64_t random_u64();

} // namespace rbee
