#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/hive/device_detector.hpp"
#include "rbee/hive/resources.hpp"
#include "rbee/process/cpu_affinity.hpp"
#include "rbee/runtime/blocking.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rbee::hive {

/// What this machine offers, as it was last looked at. Looking blocks and happens on the pool.
/// Belongs to one loop; must outlive its refreshes.
class Machine {
public:
    struct Options {
        std::string disk_of;                      ///< Directory whose disk is measured.
        std::string log_dir;                      ///< Where workers write.
        std::vector<std::string> worker_backends; ///< What the worker program supports.
        std::string nvidia_smi = "nvidia-smi";    ///< Program to ask; empty asks nobody.
        std::vector<std::string> environment;     ///< "NAME=value", for that program.
    };

    /// What one look found.
    struct Snapshot {
        Resources resources;
        std::vector<Device> devices;
        std::uint64_t log_disk_available = 0; ///< Bytes free where workers write.
        std::vector<unsigned> idle_cpus;      ///< The half of the processors with least to do.
        /// Share of the time in which the disk with the models had something to do; 0 ... 1.
        std::optional<double> disk_busy;
    };

    Machine(const Clock& clock, runtime::BlockingPool& pool, Options options)
        : clock_(clock), pool_(pool), options_(std::move(options)) {}

    /// Looks again, unless the last look is at most `age` ago, and returns what there is.
    [[nodiscard]] boost::asio::awaitable<Snapshot> refresh(Duration age = Duration::zero());
    [[nodiscard]] const Snapshot& last() const { return last_; }
    /// Memory that can be taken now, in bytes; a look that takes no time.
    [[nodiscard]] boost::asio::awaitable<std::uint64_t> ram_available();

private:
    /// Counters of the kernel at one moment; it is their differences that say something.
    struct Counters {
        TimePoint at;
        process::IdleTicks idle;
        std::optional<std::uint64_t> disk_busy_ms;
    };
    void compare(Counters now);

    const Clock& clock_;
    runtime::BlockingPool& pool_;
    Options options_;
    Snapshot last_;
    std::optional<TimePoint> looked_at_;
    std::optional<Counters> before_;
    bool gpus_absent_ = false; ///< nvidia-smi is not there: never asked again.
};

/// What nvidia-smi said.
struct GpuAnswer {
    std::vector<api::BackendInfo> gpus;
    bool program_missing = false;
};

/// Asks nvidia-smi; no GPUs where it does not exist, fails, or takes longer than 5 s. Blocks.
[[nodiscard]] GpuAnswer
ask_nvidia_smi(const std::string& program, std::vector<std::string> environment);

} // namespace rbee::hive
