#pragma once

#include "rbee/api/types.hpp"
#include "rbee/base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::hive {

/// A device, and why workers cannot use it when they cannot.
struct Device {
    api::BackendInfo info;
    std::string reason;
};

/// Query that makes nvidia-smi print what parse_nvidia_smi() reads.
inline constexpr std::string_view nvidia_smi_fields =
    "index,name,memory.total,memory.free,compute_cap,pci.bus_id,temperature.gpu";

/// Reads `nvidia-smi --query-gpu=... --format=csv,noheader,nounits`. The text comes from another
/// program, so everything is bounded: 64 devices, names of 256 and bus ids of 32 printable
/// characters, at most 1 000 000 MiB of memory, free memory never above the total, temperatures of
/// at most 1000 degrees (passively cooled ones tell none). Fails with Errc::corrupt and the number
/// of the line.
[[nodiscard]] Result<std::vector<api::BackendInfo>> parse_nvidia_smi(std::string_view csv);

/// The processor as a device. `ram_*` in bytes.
[[nodiscard]] Device cpu_device(std::uint64_t ram_total, std::uint64_t ram_available);

/// Joins the processor and the GPUs that were found. A GPU is available when the worker program was
/// declared to support CUDA (`worker_backends`).
[[nodiscard]] std::vector<Device> merge_devices(
    Device cpu, std::vector<api::BackendInfo> gpus, const std::vector<std::string>& worker_backends
);

} // namespace rbee::hive
