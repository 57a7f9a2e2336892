#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/hive/device_detector.hpp"
#include "rbee/hive/resources.hpp"
#include "rbee/runtime/blocking.hpp"

#include <boost/asio/awaitable.hpp>

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
        std::vector<std::string> worker_backends; ///< What the worker program supports.
        std::string nvidia_smi = "nvidia-smi";    ///< Program to ask; empty asks nobody.
        std::vector<std::string> environment;     ///< "NAME=value", for that program.
    };

    /// What one look found.
    struct Snapshot {
        Resources resources;
        std::vector<Device> devices;
    };

    Machine(const Clock& clock, runtime::BlockingPool& pool, Options options)
        : clock_(clock), pool_(pool), options_(std::move(options)) {}

    /// Looks again, unless the last look is at most `age` ago, and returns what there is.
    [[nodiscard]] boost::asio::awaitable<Snapshot> refresh(Duration age = Duration::zero());
    [[nodiscard]] const Snapshot& last() const { return last_; }

private:
    const Clock& clock_;
    runtime::BlockingPool& pool_;
    Options options_;
    Snapshot last_;
    std::optional<TimePoint> looked_at_;
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
