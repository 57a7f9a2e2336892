#include "rbee/cli/family.hpp"

#include "rbee/base/text.hpp"
#include "rbee/cli/daemon.hpp"
#include "rbee/process/kernel_file.hpp"
#include "rbee/process/process_stat.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>
#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace rbee::cli {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

/// The parent of a process that runs; nothing for a zombie or none.
std::optional<pid_t> parent_of(pid_t pid) {
    const auto stat = process::process_stat(pid);
    return stat && !stat->ended ? stat->parent : std::nullopt;
}

/// A file of /proc/<pid>; empty when the process is not there.
std::string proc_file(pid_t pid, std::string_view name) {
    return process::read_kernel_file(fmt::format("/proc/{}/{}", pid, name)).value_or("");
}

/// Who is whose child, of all processes.
std::multimap<pid_t, pid_t> children() {
    std::multimap<pid_t, pid_t> out;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
        const auto pid = parse_u64(entry.path().filename().string());
        if (pid && *pid <= INT32_MAX) {
            if (const auto parent = parent_of(static_cast<pid_t>(*pid))) {
                out.emplace(*parent, static_cast<pid_t>(*pid));
            }
        }
    }
    return out;
}

} // namespace

std::vector<Member> descendants_of(pid_t pid) {
    const auto all = children();
    std::vector<Member> out;
    std::vector<pid_t> parents{pid};
    while (!parents.empty()) {
        const pid_t parent = parents.back();
        parents.pop_back();
        const auto [first, last] = all.equal_range(parent);
        for (auto at = first; at != last; ++at) {
            parents.push_back(at->second);
            UniqueFd process = process::open_pidfd(at->second);
            // Looked at once more: only from now on the number cannot change its owner.
            if (process.valid() && parent_of(at->second) == parent) {
                out.push_back(
                    {std::string(trim(proc_file(at->second, "comm"))),
                     at->second,
                     std::move(process)}
                );
            }
        }
    }
    return out;
}

std::vector<Member> workers_of(const json::object& answer, const std::string& node) {
    std::vector<Member> out;
    const json::value* list = answer.if_contains("workers");
    if (list == nullptr || !list->is_array()) {
        return out;
    }
    for (const json::value& one : list->get_array()) {
        const json::object* worker = one.if_object();
        const json::value* hive = worker != nullptr ? worker->if_contains("hive") : nullptr;
        const json::value* id = worker != nullptr ? worker->if_contains("id") : nullptr;
        const json::value* number = worker != nullptr ? worker->if_contains("pid") : nullptr;
        if (hive == nullptr || id == nullptr || number == nullptr || !hive->is_string() ||
            !id->is_string() || !number->is_int64() || hive->get_string() != node) {
            continue;
        }
        const auto pid = static_cast<pid_t>(number->get_int64());
        UniqueFd process = pid > 1 ? process::open_pidfd(pid) : UniqueFd();
        // A worker has its id among its arguments; anybody else who has the number has not.
        const std::string arguments = proc_file(pid, "cmdline");
        const std::string_view wanted(id->get_string().data(), id->get_string().size());
        if (process.valid() && !wanted.empty() && arguments.find(wanted) != std::string::npos) {
            out.push_back({fmt::format("worker {}", wanted), pid, std::move(process)});
        }
    }
    return out;
}

bool has_ended(const UniqueFd& process) {
    pollfd poll{process.get(), POLLIN, 0};
    return ::poll(&poll, 1, 0) == 1;
}

} // namespace rbee::cli
