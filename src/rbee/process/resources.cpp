#include "rbee/process/resources.hpp"

#include "rbee/base/text.hpp"
#include "rbee/process/kernel_file.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <system_error>

namespace rbee::process {
namespace {

std::optional<std::uint64_t> read_number(const std::string& path) {
    const auto text = read_kernel_file(path);
    return text ? parse_u64(trim(*text)) : std::nullopt; // "max" is no number: no limit
}

/// Lowers `memory` to what the group in `folder` allows.
void apply_limit(Memory& memory, const std::string& folder) {
    const auto limit = read_number(folder + "/memory.max");
    if (!limit) {
        return;
    }
    const std::uint64_t used = read_number(folder + "/memory.current").value_or(0);
    const auto statistics = read_kernel_file(folder + "/memory.stat");
    // Page cache counts as used but is given back on demand.
    const std::uint64_t cache =
        statistics ? kernel_number(*statistics, "inactive_file ").value_or(0) : 0;
    const std::uint64_t taken = used - std::min(used, cache);
    memory.total_bytes = std::min(memory.total_bytes, *limit);
    memory.available_bytes = std::min(memory.available_bytes, *limit - std::min(*limit, taken));
}

/// The path behind "0::" in /proc/self/cgroup.
std::optional<std::string> own_group(const std::string& root) {
    const auto text = read_kernel_file(root + "/proc/self/cgroup");
    if (!text) {
        return std::nullopt;
    }
    for (const std::string_view line : split(*text, '\n')) {
        if (line.starts_with("0::/")) {
            return std::string(line.substr(3));
        }
    }
    return std::nullopt;
}

} // namespace

Result<Memory> memory(const std::string& root) {
    const auto text = read_kernel_file(root + "/proc/meminfo");
    const auto total = text ? kernel_number(*text, "MemTotal:") : std::nullopt;
    const auto available = text ? kernel_number(*text, "MemAvailable:") : std::nullopt;
    if (!total || !available) {
        return fail(Errc::io, "cannot read the size of memory from /proc/meminfo");
    }
    Memory memory{.total_bytes = *total * 1024, .available_bytes = *available * 1024};
    std::string group = own_group(root).value_or("/");
    // Each group above limits us too.
    while (true) {
        apply_limit(memory, fmt::format("{}/sys/fs/cgroup{}", root, group));
        const std::size_t slash = group.rfind('/');
        if (group.size() <= 1 || slash == std::string::npos) {
            return memory;
        }
        group.resize(std::max<std::size_t>(slash, 1));
    }
}

Result<Disk> disk(const std::string& path) {
    struct statvfs status{};
    if (::statvfs(path.c_str(), &status) != 0) {
        return fail(
            Errc::io,
            "cannot read the free space of " + path + ": " + std::generic_category().message(errno)
        );
    }
    return Disk{
        .total_bytes = std::uint64_t{status.f_blocks} * status.f_frsize,
        .available_bytes = std::uint64_t{status.f_bavail} * status.f_frsize,
    };
}

unsigned cpu_count() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1;
    }
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

Result<std::uint64_t> rss_bytes(pid_t pid) {
    const auto text = read_kernel_file("/proc/" + std::to_string(pid) + "/statm");
    const auto fields = split(text ? std::string_view(*text) : std::string_view(), ' ');
    const auto pages = fields.size() > 1 ? parse_u64(fields[1]) : std::nullopt;
    if (!pages) {
        return fail(Errc::not_found, "there is no process " + std::to_string(pid));
    }
    return *pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace rbee::process
