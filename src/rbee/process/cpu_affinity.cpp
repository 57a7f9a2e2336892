#include "rbee/process/cpu_affinity.hpp"

#include "rbee/base/text.hpp"
#include "rbee/process/kernel_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace rbee::process {

IdleTicks parse_idle_ticks(std::string_view stat) {
    constexpr std::size_t idle_field = 4;
    constexpr std::size_t iowait_field = 5;
    IdleTicks out;
    for (const std::string_view line : split(stat, '\n')) {
        const auto fields = split(line, ' ');
        if (!line.starts_with("cpu") || fields.size() <= iowait_field) {
            continue;
        }
        const auto number = parse_u64(fields[0].substr(3)); // nothing in the line of all together
        const auto idle = parse_u64(fields[idle_field]);
        const auto waiting = parse_u64(fields[iowait_field]);
        if (number && *number < CPU_SETSIZE && idle && waiting) {
            out[static_cast<unsigned>(*number)] = *idle + *waiting;
        }
    }
    return out;
}

IdleTicks idle_ticks(const std::string& root) {
    return parse_idle_ticks(read_kernel_file(root + "/proc/stat").value_or(""));
}

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> out;
    if (::sched_getaffinity(0, sizeof set, &set) == 0) {
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &set)) {
                out.push_back(cpu);
            }
        }
    }
    return out;
}

std::vector<unsigned>
idle_half(const std::vector<unsigned>& allowed, const IdleTicks& before, const IdleTicks& after) {
    struct Candidate {
        std::uint64_t idle = 0;
        unsigned cpu = 0;
    };
    std::vector<Candidate> candidates;
    candidates.reserve(allowed.size());
    for (const unsigned cpu : allowed) {
        const auto then = before.find(cpu);
        const auto now = after.find(cpu);
        const bool known = then != before.end() && now != after.end();
        candidates.push_back({known ? now->second - std::min(now->second, then->second) : 0, cpu});
    }
    std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
        return a.idle != b.idle ? a.idle > b.idle : a.cpu > b.cpu;
    });
    candidates.resize((candidates.size() + 1) / 2);
    std::vector<unsigned> out;
    out.reserve(candidates.size());
    for (const Candidate& candidate : candidates) {
        out.push_back(candidate.cpu);
    }
    std::ranges::sort(out);
    return out;
}

std::string cpu_range(const std::vector<unsigned>& cpus) {
    std::string out;
    for (std::size_t first = 0; first < cpus.size();) {
        std::size_t last = first;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) {
            ++last;
        }
        out += out.empty() ? "" : ",";
        out += first == last ? std::to_string(cpus[first])
                             : fmt::format("{}-{}", cpus[first], cpus[last]);
        first = last + 1;
    }
    return out;
}

CpuScope::CpuScope(const std::vector<unsigned>& cpus) {
    cpu_set_t before;
    CPU_ZERO(&before);
    if (cpus.empty() || ::sched_getaffinity(0, sizeof before, &before) != 0) {
        return;
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const unsigned cpu : cpus) {
        if (cpu < CPU_SETSIZE) {
            CPU_SET(cpu, &set);
        }
    }
    if (::sched_setaffinity(0, sizeof set, &set) == 0) {
        before_ = before;
    }
}

CpuScope::~CpuScope() {
    if (before_) {
        ::sched_setaffinity(0, sizeof *before_, &*before_);
    }
}

} // namespace rbee::process
