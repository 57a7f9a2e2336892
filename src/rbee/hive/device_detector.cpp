#include "rbee/hive/device_detector.hpp"

#include "rbee/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

namespace rbee::hive {
namespace {

constexpr std::size_t devices_max = 64;
constexpr std::size_t name_bytes_max = 256;
constexpr std::size_t bus_id_bytes_max = 32;
constexpr std::uint64_t memory_mib_max = 1'000'000;
constexpr std::uint64_t temperature_max = 1000;
constexpr std::uint64_t mib = 1024ULL * 1024;

bool printable(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::optional<api::BackendInfo> parse_line(std::string_view line) {
    const auto fields = split(line, ',');
    if (fields.size() != 7) {
        return std::nullopt;
    }
    const auto index = parse_u64(trim(fields[0]));
    const std::string_view name = trim(fields[1]);
    const auto total = parse_u64(trim(fields[2]));
    const auto available = parse_u64(trim(fields[3]));
    const std::string_view bus_id = trim(fields[5]);
    const std::string_view temperature = trim(fields[6]);
    const auto degrees = parse_u64(temperature);
    if (!index || *index >= devices_max || !total || !available || *total > memory_mib_max) {
        return std::nullopt;
    }
    if (name.empty() || name.size() > name_bytes_max || !printable(name) ||
        bus_id.size() > bus_id_bytes_max || !printable(bus_id)) {
        return std::nullopt;
    }
    const bool untold = temperature == "N/A" || temperature == "[N/A]";
    if (!untold && (!degrees || *degrees > temperature_max)) {
        return std::nullopt;
    }
    api::BackendInfo gpu;
    gpu.backend = "cuda";
    gpu.device = static_cast<std::uint32_t>(*index);
    gpu.name = std::string(name);
    gpu.memory_total_bytes = *total * mib;
    gpu.memory_available_bytes = std::min(*available, *total) * mib;
    gpu.temperature_c = degrees;
    return gpu;
}

std::string cpu_name() {
    std::ifstream in("/proc/cpuinfo");
    std::string line;
    while (std::getline(in, line)) {
        if (line.starts_with("model name")) {
            const auto colon = line.find(':');
            if (colon != std::string::npos) {
                return std::string(trim(std::string_view(line).substr(colon + 1, name_bytes_max)));
            }
        }
    }
    return "CPU";
}

} // namespace

Result<std::vector<api::BackendInfo>> parse_nvidia_smi(std::string_view csv) {
    std::vector<api::BackendInfo> gpus;
    std::size_t number = 0;
    for (const std::string_view line : split(csv, '\n')) {
        ++number;
        if (trim(line).empty()) {
            continue;
        }
        auto gpu = parse_line(trim(line));
        if (!gpu || gpus.size() >= devices_max) {
            return fail(
                Errc::corrupt,
                fmt::format("nvidia-smi printed something unexpected in line {}", number)
            );
        }
        gpus.push_back(std::move(*gpu));
    }
    return gpus;
}

Device cpu_device(std::uint64_t ram_total, std::uint64_t ram_available) {
    Device cpu;
    cpu.info.backend = "cpu";
    cpu.info.name = fmt::format("{} ({} cores)", cpu_name(), std::thread::hardware_concurrency());
    cpu.info.memory_total_bytes = ram_total;
    cpu.info.memory_available_bytes = ram_available;
    return cpu;
}

std::vector<Device> merge_devices(
    Device cpu, std::vector<api::BackendInfo> gpus, const std::vector<std::string>& worker_backends
) {
    const auto supports = [&](std::string_view backend) {
        return std::ranges::find(worker_backends, backend) != worker_backends.end();
    };
    std::vector<Device> out;
    if (!supports("cpu")) {
        cpu.info.available = false;
        cpu.reason = "the worker program was not declared to support cpu (--worker-backends)";
    }
    out.push_back(std::move(cpu));
    for (api::BackendInfo& gpu : gpus) {
        Device device{std::move(gpu), {}};
        if (!supports(device.info.backend)) {
            device.info.available = false;
            device.reason =
                "the worker program was not declared to support cuda (--worker-backends)";
        }
        out.push_back(std::move(device));
    }
    return out;
}

} // namespace rbee::hive
