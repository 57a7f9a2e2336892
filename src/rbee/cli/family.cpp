#include "rbee/cli/family.hpp"

#include "rbee/base/text.hpp"
#include "rbee/cli/daemon.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace rbee::cli {

namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

std::string read_all(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    // Iterators would throw when the process ends between open and read.
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

/// The parent of a process, from /proc/<pid>/stat; nothing for a zombie or none.
std::optional<pid_t> parent_of(pid_t pid) {
    const std::string text = read_all(fmt::format("/proc/{}/stat", pid));
    const auto name_end = text.rfind(')'); // the name may hold anything
    if (name_end == std::string::npos || name_end + 2 >= text.size()) {
        return std::nullopt;
    }
    const auto fields = split(std::string_view(text).substr(name_end + 2), ' ');
    if (fields.size() < 2 || fields[0] == "Z" || fields[0] == "X") {
        return std::nullopt;
    }
    const auto parent = parse_u64(fields[1]);
    return parent ? std::optional(static_cast<pid_t>(*parent)) : std::nullopt;
}

std::string name_of(pid_t pid) {
    return std::string(trim(read_all(fmt::format("/proc/{}/comm", pid))));
}

UniqueFd open_pid(pid_t pid) {
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
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
            UniqueFd process = open_pid(at->second);
            // Looked at once more: only from now on the number cannot change its owner.
            if (process.valid() && parent_of(at->second) == parent) {
                out.push_back({name_of(at->second), at->second, std::move(process)});
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
        UniqueFd process = pid > 1 ? open_pid(pid) : UniqueFd();
        // A worker has its id among its arguments; anybody else who has the number has not.
        const std::string arguments = read_all(fmt::format("/proc/{}/cmdline", pid));
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
