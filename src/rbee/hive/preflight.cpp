#include "rbee/hive/preflight.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace rbee::hive {

namespace json = boost::json;

namespace {

/// Whole megabytes, rounded up, so that "required" is never shown as less than it is.
std::uint64_t megabytes(std::uint64_t bytes) {
    return (bytes + 999'999) / 1'000'000;
}

std::unexpected<Refusal> refuse(Error error, json::object details) {
    return std::unexpected(Refusal{std::move(error), std::move(details)});
}

std::unexpected<Refusal> refuse_backend(const PreflightInput& input) {
    std::set<std::string> available;
    std::string why = input.backend == "cuda"
                          ? ": no NVIDIA GPU was found; install the NVIDIA driver, see that "
                            "nvidia-smi lists the GPU, and restart the hive"
                      : input.backend == "metal" ? ": it needs a Mac"
                                                 : "";
    for (const Device& device : input.devices) {
        if (device.info.available) {
            available.insert(device.info.backend);
        } else if (device.info.backend == input.backend) {
            why = ": " + device.reason;
        }
    }
    json::object details{{"backend", input.backend}};
    details["available"] = json::array(available.begin(), available.end());
    return refuse(
        {Errc::invalid_argument,
         fmt::format(
             "the backend {} is not available on this hive{}; available: {}",
             input.backend,
             why,
             fmt::join(available, ", ")
         ),
         "BACKEND_UNAVAILABLE"},
        std::move(details)
    );
}

Checked<const Device*> find_device(const PreflightInput& input) {
    std::vector<const Device*> candidates;
    for (const Device& device : input.devices) {
        if (device.info.available && device.info.backend == input.backend) {
            candidates.push_back(&device);
        }
    }
    if (candidates.empty()) {
        return refuse_backend(input);
    }
    if (!input.device) {
        return *std::ranges::max_element(candidates, {}, [](const Device* device) {
            return device->info.memory_available_bytes;
        });
    }
    json::array there;
    std::vector<std::uint32_t> numbers;
    for (const Device* device : candidates) {
        if (device->info.device == *input.device) {
            return device;
        }
        there.emplace_back(device->info.device);
        numbers.push_back(device->info.device);
    }
    return refuse(
        {Errc::invalid_argument,
         fmt::format(
             "the backend {} has no device {}; devices: {}",
             input.backend,
             *input.device,
             fmt::join(numbers, ", ")
         ),
         {}},
        {{"backend", input.backend}, {"devices", std::move(there)}}
    );
}

struct MemoryNeed {
    std::string_view name; ///< RAM or VRAM.
    std::uint64_t available = 0;
    std::uint64_t reserve = 0;
};

Checked<void> check_memory(const PreflightInput& input, MemoryNeed memory) {
    const std::uint64_t required = required_bytes(input.model_bytes);
    const std::uint64_t usable = memory.available - std::min(memory.available, memory.reserve);
    if (required <= usable) {
        return {};
    }
    const std::string prefix = memory.name == "VRAM" ? "required_vram_mb" : "required_mb";
    const std::string other = memory.name == "VRAM" ? "available_vram_mb" : "available_mb";
    json::array suggestions{
        "use a smaller model or a smaller quantisation of it (Q4_K_M)",
        "stop a worker that is not needed"
    };
    suggestions.emplace_back(memory.name == "VRAM" ? "use the cpu backend" : "use another node");
    return refuse(
        {Errc::resources,
         fmt::format(
             "not enough {}: the model needs {} MB, {} MB are free for workers",
             memory.name,
             megabytes(required),
             usable / 1'000'000
         ),
         fmt::format("INSUFFICIENT_{}", memory.name)},
        {{prefix, megabytes(required)},
         {other, usable / 1'000'000},
         {"model_ref", input.model_ref},
         {"suggestions", std::move(suggestions)}}
    );
}

} // namespace

std::uint64_t required_bytes(std::uint64_t model_bytes) {
    return model_bytes + model_bytes / 5;
}

Checked<std::uint32_t> check_preflight(const PreflightInput& input) {
    const auto device = find_device(input);
    if (!device) {
        return std::unexpected(device.error());
    }
    const auto ram = check_memory(input, {"RAM", input.ram_available, input.ram_reserve});
    if (!ram) {
        return std::unexpected(ram.error());
    }
    if (input.backend == "cuda") {
        const std::uint64_t free = (*device)->info.memory_available_bytes;
        const auto vram = check_memory(input, {"VRAM", free, input.vram_reserve});
        if (!vram) {
            return std::unexpected(vram.error());
        }
    }
    return (*device)->info.device;
}

} // namespace rbee::hive
