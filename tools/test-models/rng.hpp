// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace rbee::mkmodel {

/// The splitmix64 generator: the same numbers on every platform, which std distributions are not.
class Rng {
public:
    explicit Rng(std::uint64_t seed) : state_(seed) {}

    /// Returns the next 64 random bits.
    std::uint64_t bits() {
        std::uint64_t mixed = (state_ += 0x9E3779B97F4A7C15U);
        mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
        mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
        return mixed ^ (mixed >> 31U);
    }

    /// Returns a value spread evenly over (-limit, limit).
    float symmetric(float limit) {
        const double unit = static_cast<double>(bits() >> 11U) * 0x1.0p-53;
        return static_cast<float>((2.0 * unit) - 1.0) * limit;
    }

    /// Returns +1 or -1.
    float sign() { return (bits() & 1U) != 0 ? 1.0F : -1.0F; }

private:
    std::uint64_t state_;
};

} // namespace rbee::mkmodel
