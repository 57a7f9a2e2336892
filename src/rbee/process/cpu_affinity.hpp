#pragma once

#include <sched.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::process {

/// Time that each processor spent without work, in clock ticks since boot, by its number.
using IdleTicks = std::map<unsigned, std::uint64_t>;

/// Reads the lines "cpu0 …" of /proc/stat: idle and waiting for a disk. Lines that make no sense
/// are left out.
[[nodiscard]] IdleTicks parse_idle_ticks(std::string_view stat);

/// What the kernel says now; empty when it does not. `root` is for tests.
[[nodiscard]] IdleTicks idle_ticks(const std::string& root = "");

/// The numbers of the processors that this process may run on, ascending.
[[nodiscard]] std::vector<unsigned> allowed_cpus();

/// The half of `allowed` (rounded up) that was idle most between two looks, ascending. Of equally
/// idle ones the last: interrupts prefer the first. Pure.
[[nodiscard]] std::vector<unsigned>
idle_half(const std::vector<unsigned>& allowed, const IdleTicks& before, const IdleTicks& after);

/// "0-3,7": as the kernel and taskset write it. `cpus` ascending.
[[nodiscard]] std::string cpu_range(const std::vector<unsigned>& cpus);

/// Restricts the calling thread to `cpus` while it lives; what is started meanwhile inherits it.
/// No processors: does nothing.
class CpuScope {
public:
    explicit CpuScope(const std::vector<unsigned>& cpus);
    CpuScope(const CpuScope&) = delete;
    CpuScope& operator=(const CpuScope&) = delete;
    ~CpuScope();

private:
    std::optional<cpu_set_t> before_;
};

} // namespace rbee::process
