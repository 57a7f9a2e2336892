// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

namespace rbee::demo {

/// The splitmix64 generator: training repeats exactly from its seed.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    /// Returns an index below `bound`, which must not be 0.
    std::size_t below(std::size_t bound) {
        return static_cast<std::size_t>(unit() * static_cast<double>(bound));
    }

    /// Returns true with the given probability.
    bool chance(double probability) { return unit() < probability; }

    /// Returns a value from the normal distribution with this standard deviation.
    float normal(float deviation) {
        const double radius = std::sqrt(-2.0 * std::log(1.0 - unit()));
        return deviation * static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * unit()));
    }

private:
    double unit() {
        std::uint64_t mixed = (state_ += 0x9E3779B97F4A7C15U);
        mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
        mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
        return static_cast<double>((mixed ^ (mixed >> 31U)) >> 11U) * 0x1.0p-53;
    }

    std::uint64_t state_;
};

} // namespace rbee::demo
