#include "rbee/hive/resource_check.hpp"

#include "rbee/process/cpu_affinity.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

/// From here on a disk is named as the reason why loading will take its time.
constexpr double disk_busy_warning = 0.9;

} // namespace

std::uint64_t ResourceCheck::unpromised(std::uint64_t ram_available) const {
    return ram_available - std::min(ram_available, with_.supervisor.pending_bytes());
}

PreflightInput ResourceCheck::input_for(const Need& need, const Machine::Snapshot& there) const {
    PreflightInput input;
    input.model_ref = need.model_ref;
    input.model_bytes = need.model_bytes;
    input.backend = need.backend;
    input.device = need.device;
    input.devices = there.devices;
    input.ram_available = unpromised(there.resources.ram_available);
    input.ram_reserve = with_.settings.ram_reserve_bytes;
    input.ram_limit = with_.settings.worker.memory_bytes_max;
    input.vram_reserve = with_.settings.vram_reserve_bytes;
    input.disk_required = with_.settings.worker.log_bytes_max + with_.settings.disk_reserve_bytes;
    input.disk_available = there.log_disk_available;
    input.gpu_temperature_max_c = with_.settings.gpu_temperature_max_c;
    return input;
}

Place ResourceCheck::place(const Need& need, std::uint32_t device) const {
    Place out{.device = device, .cpus = need.cpus};
    const telemetry::Logger log = with_.log.with_correlation(need.correlation_id);
    const bool on_gpu = need.backend != "cpu";
    if (on_gpu && !need.device) {
        log.info(
            "device_chosen",
            "the device with most free memory was chosen",
            {{"backend", need.backend}, {"device", device}, {"model", need.model_ref}}
        );
    }
    if (!on_gpu && out.cpus.empty() && with_.settings.worker.cpu_pinning) {
        out.cpus = with_.machine.last().idle_cpus;
        log.info(
            "cpus_chosen",
            "the worker is bound to the idle half of the processors",
            {{"cpus", process::cpu_range(out.cpus)}, {"model", need.model_ref}}
        );
    }
    return out;
}

asio::awaitable<Checked<Place>> ResourceCheck::check(Need need) {
    const Machine::Snapshot there = co_await with_.machine.refresh();
    PreflightInput input = input_for(need, there);
    const auto device = check_preflight(input);
    if (!device) {
        co_return std::unexpected(device.error());
    }
    const double disk_busy = there.disk_busy.value_or(0);
    if (disk_busy >= disk_busy_warning) {
        with_.log.with_correlation(need.correlation_id)
            .warn(
                "disk_busy",
                "the disk with the models is busy: loading may take longer",
                {{"percent", std::lround(disk_busy * 100)}, {"model", need.model_ref}}
            );
    }
    const std::uint64_t before = input.ram_available;
    const std::uint64_t now = co_await with_.machine.ram_available();
    input.ram_available = unpromised(now);
    const auto still = check_ram_again(input, before);
    if (!still) {
        co_return std::unexpected(still.error());
    }
    co_return place(need, *device);
}

} // namespace rbee::hive
