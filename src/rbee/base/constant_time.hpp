#pragma once

#include <cstddef>

/// Arithmetic whose time does not depend on its values, for what touches secrets. All values must
/// be below 2^63.
namespace rbee::constant_time {

/// The same value, of which the compiler knows nothing: it cannot turn what follows into a branch.
[[nodiscard]] inline std::size_t opaque(std::size_t value) {
    asm volatile("" : "+r"(value)); // NOLINT(hicpp-no-assembler): no instruction, only the barrier
    return value;
}

/// All bits set when `value` is zero, none otherwise.
[[nodiscard]] inline std::size_t mask_if_zero(std::size_t value) {
    return std::size_t{0} - ((opaque(value) - 1) >> 63U);
}

/// All bits set when `a` is less than `b`, none otherwise.
[[nodiscard]] inline std::size_t mask_if_less(std::size_t a, std::size_t b) {
    return std::size_t{0} - ((opaque(a) - b) >> 63U);
}

} // namespace rbee::constant_time
