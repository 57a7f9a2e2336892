#pragma once

#include "rbee/base/result.hpp"
#include "rbee/hive/device_detector.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace rbee::hive {

/// A refusal with the numbers behind it, for the `details` of the error body.
struct Refusal {
    Error error;
    boost::json::object details;
};

template <typename T>
using Checked = std::expected<T, Refusal>;

/// What a worker would need and what there is.
struct PreflightInput {
    std::string model_ref;
    std::uint64_t model_bytes = 0;
    std::string backend = "cpu";
    std::optional<std::uint32_t> device; ///< Absent: the one with most free memory.
    std::vector<Device> devices;
    std::uint64_t ram_available = 0;
    std::uint64_t ram_reserve = 0;    ///< Kept free for everything else.
    std::uint64_t ram_limit = 0;      ///< The most that one worker may have; 0 = no limit.
    std::uint64_t vram_reserve = 0;   ///< The same on a GPU.
    std::uint64_t disk_required = 0;  ///< What the worker may write, and what must stay free.
    std::uint64_t disk_available = 0; ///< On the disk that it writes to.
    std::uint32_t gpu_temperature_max_c = 80;
};

/// Memory that a model needs: its size and a fifth on top for context and buffers.
[[nodiscard]] std::uint64_t required_bytes(std::uint64_t model_bytes);

/// Decides whether a worker can be started and on which device (behaviour.md 4.3). Pure. Refuses
/// with BACKEND_UNAVAILABLE, INVALID_REQUEST (no such device), GPU_TOO_HOT, INSUFFICIENT_DISK,
/// INSUFFICIENT_RAM or INSUFFICIENT_VRAM; the last four with the numbers.
[[nodiscard]] Checked<std::uint32_t> check_preflight(const PreflightInput& input);

/// The look at the memory right before the start. `before` was enough for the request, `input`
/// holds what there is now. Pure. Refuses with INSUFFICIENT_RAM, naming both.
[[nodiscard]] Checked<void> check_ram_again(const PreflightInput& input, std::uint64_t before);

} // namespace rbee::hive
