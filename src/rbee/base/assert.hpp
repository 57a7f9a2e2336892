#pragma once

namespace rbee::detail {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;
} // namespace rbee::detail

/// Stops the program when a condition that our own code must uphold does not hold; on in release
/// builds. Never for data that comes from the network, a file or a user.
#define RBEE_ASSERT(condition)                                                                     \
    (static_cast<bool>(condition)                                                                  \
         ? void(0)                                                                                 \
         : ::rbee::detail::assertion_failed(#condition, __FILE__, __LINE__))
