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

Checked<void> check_temperature(const PreflightInput& input, const Device& device) {
    const auto degrees = device.info.temperature_c;
    if (!degrees || *degrees <= input.gpu_temperature_max_c) {
        return {};
    }
    return refuse(
        {Errc::resources,
         fmt::format(
             "GPU {} is too hot for another worker: {} °C, the limit is {} °C; wait until it has "
             "cooled down",
             device.info.device,
             *degrees,
             input.gpu_temperature_max_c
         ),
         "GPU_TOO_HOT"},
        {{"device", device.info.device},
         {"temperature_c", *degrees},
         {"limit_c", input.gpu_temperature_max_c},
         {"suggestions",
          json::array{"wait until the GPU has cooled down", "check its fans and the air around it"}}
        }
    );
}

Checked<void> check_disk(const PreflightInput& input) {
    if (input.disk_required <= input.disk_available) {
        return {};
    }
    const std::uint64_t to_free = input.disk_required - input.disk_available;
    return refuse(
        {Errc::resources,
         fmt::format(
             "not enough disk space for the log of a worker: {} MB must be free, {} MB are; free "
             "{} MB",
             megabytes(input.disk_required),
             input.disk_available / 1'000'000,
             megabytes(to_free)
         ),
         "INSUFFICIENT_DISK"},
        {{"required_mb", megabytes(input.disk_required)},
         {"available_mb", input.disk_available / 1'000'000},
         {"to_free_mb", megabytes(to_free)},
         {"suggestions", json::array{"remove models or logs that are not needed"}}}
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

Checked<void> check_limit(const PreflightInput& input) {
    const std::uint64_t required = required_bytes(input.model_bytes);
    if (input.ram_limit == 0 || required <= input.ram_limit) {
        return {};
    }
    return refuse(
        {Errc::resources,
         fmt::format(
             "not enough RAM: the model needs {} MB, a worker may have at most {} MB "
             "(--worker-memory)",
             megabytes(required),
             input.ram_limit / 1'000'000
         ),
         "INSUFFICIENT_RAM"},
        {{"required_mb", megabytes(required)},
         {"available_mb", input.ram_limit / 1'000'000},
         {"model_ref", input.model_ref},
         {"suggestions",
          json::array{
              "use a smaller model or a smaller quantisation of it (Q4_K_M)",
              "allow workers more with --worker-memory"
          }}}
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
    if (const auto cool = check_temperature(input, **device); !cool) {
        return std::unexpected(cool.error());
    }
    if (const auto room = check_disk(input); !room) {
        return std::unexpected(room.error());
    }
    if (const auto within = check_limit(input); !within) {
        return std::unexpected(within.error());
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

Checked<void> check_ram_again(const PreflightInput& input, std::uint64_t before) {
    auto enough = check_memory(input, {"RAM", input.ram_available, input.ram_reserve});
    if (!enough) {
        Refusal& refusal = enough.error();
        const std::uint64_t usable = before - std::min(before, input.ram_reserve);
        refusal.error.what += fmt::format(
            "; {} MB were when the request was checked, something else has taken memory since",
            usable / 1'000'000
        );
        refusal.details["available_before_mb"] = usable / 1'000'000;
    }
    return enough;
}

} // namespace rbee::hive
