#include "rbee/process/process_stat.hpp"

#include "rbee/base/text.hpp"
#include "rbee/process/kernel_file.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::process {
namespace {

// proc(5) counts fields from 1; the third is the first behind the name.
constexpr std::size_t state_field = 3;
constexpr std::size_t parent_field = 4;
constexpr std::size_t start_field = 22;
constexpr std::size_t exit_code_field = 52;

} // namespace

std::optional<ProcessStat> process_stat(pid_t pid) {
    const auto text = read_kernel_file("/proc/" + std::to_string(pid) + "/stat");
    const auto name_end = text ? text->rfind(") ") : std::string::npos; // names may hold anything
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    const auto fields = split(trim(std::string_view(*text).substr(name_end + 2)), ' ');
    const auto field = [&fields](std::size_t number) {
        const std::size_t at = number - state_field;
        return at < fields.size() ? fields[at] : std::string_view();
    };
    ProcessStat out;
    out.ended = field(state_field) == "Z" || field(state_field) == "X";
    if (const auto parent = parse_u64(field(parent_field))) {
        out.parent = static_cast<pid_t>(*parent);
    }
    out.start_ticks = parse_u64(field(start_field));
    out.wait_status = parse_u64(field(exit_code_field));
    return out;
}

std::optional<std::uint64_t> start_ticks_of(pid_t pid) {
    const auto stat = process_stat(pid);
    return stat && !stat->ended ? stat->start_ticks : std::nullopt;
}

UniqueFd open_pidfd(pid_t pid) {
    // By number: glibc 2.35 has no wrapper, and <sys/pidfd.h> of 2.36 is not usable from C++.
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

} // namespace rbee::process
