#include "rbee/base/random.hpp"

#include <random>

namespace rbee {

std::uint64_t random_u64() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32U) | device();
}

} // namespace rbee
