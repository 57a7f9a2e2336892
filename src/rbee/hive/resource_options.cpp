#include "rbee/hive/resource_options.hpp"

#include "rbee/domain/keep_alive.hpp"

#include <fmt/format.h>

#include <array>
#include <string>
#include <utility>

namespace rbee::hive {
namespace {

constexpr std::uint64_t mb = 1'000'000;
constexpr std::uint64_t mb_max = 1ULL << 40U;
/// Less is not enough for the program itself, and it would be killed before it can say so.
constexpr std::uint64_t worker_memory_mb_min = 32;

Result<void> fill_idle(const OptionValues& values, IdleSettings& idle) {
    if (const std::string text = values.text("keep-alive"); !text.empty()) {
        const auto kept = domain::parse_keep_alive(text);
        if (!kept) {
            return std::unexpected(kept.error().within("keep-alive"));
        }
        idle.keep_alive = *kept;
    }
    for (const std::string& one : values.list("keep-alive-models")) {
        const auto equals = one.rfind('=');
        if (equals == std::string::npos || equals == 0) {
            return fail(
                Errc::invalid_argument,
                fmt::format("keep-alive-models: {} must look like MODEL=5m", one)
            );
        }
        const auto kept = domain::parse_keep_alive(one.substr(equals + 1));
        if (!kept) {
            return std::unexpected(kept.error().within("keep-alive-models"));
        }
        idle.models.insert_or_assign(one.substr(0, equals), *kept);
    }
    idle.pinned = values.list("pinned");
    return {};
}

/// A number of megabytes as bytes.
Result<std::uint64_t>
bytes_of(const OptionValues& values, std::string_view name, std::uint64_t fallback) {
    const auto found = values.number(name, fallback / mb, {0, mb_max});
    return found ? Result<std::uint64_t>(*found * mb) : found;
}

} // namespace

Result<void> fill_resources(const OptionValues& values, Settings& settings) {
    if (auto idle = fill_idle(values, settings.idle); !idle) {
        return idle;
    }
    const auto ram = bytes_of(values, "ram-reserve", settings.ram_reserve_bytes);
    const auto vram = bytes_of(values, "vram-reserve", settings.vram_reserve_bytes);
    const auto disk = bytes_of(values, "disk-reserve", settings.disk_reserve_bytes);
    const auto memory = bytes_of(values, "worker-memory", settings.worker.memory_bytes_max);
    const auto degrees =
        values.number("gpu-temperature-max", settings.gpu_temperature_max_c, {1, 1000});
    const auto pinning = values.on("cpu-pinning");
    for (const Result<std::uint64_t>* number : {&ram, &vram, &disk, &memory, &degrees}) {
        if (!*number) {
            return error_of(*number);
        }
    }
    if (!pinning) {
        return error_of(pinning);
    }
    if (*memory != 0 && *memory < worker_memory_mb_min * mb) {
        return fail(
            Errc::invalid_argument,
            fmt::format("worker-memory must be 0 or at least {}", worker_memory_mb_min)
        );
    }
    settings.ram_reserve_bytes = *ram;
    settings.vram_reserve_bytes = *vram;
    settings.disk_reserve_bytes = *disk;
    settings.worker.memory_bytes_max = *memory;
    settings.gpu_temperature_max_c = static_cast<std::uint32_t>(*degrees);
    settings.worker.cpu_pinning = *pinning;
    return {};
}

} // namespace rbee::hive
