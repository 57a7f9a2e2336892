// Version 2: Documentation/admin-guide/cgroup-v2.rst of the kernel; version 1:
// Documentation/admin-guide/cgroup-v1/memory.rst.
#include "rbee/process/cgroup.hpp"

#include "rbee/base/text.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/process/kernel_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace rbee::process {
namespace {

constexpr std::string_view own_leaf = "hive";

/// The kernel's files want each text in one write.
Result<void> write_file(const std::string& path, const std::string& text) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.valid() ||
        ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        return fail(
            Errc::io,
            fmt::format("cannot write {}: {}", path, std::generic_category().message(errno))
        );
    }
    return {};
}

std::unexpected<Error> unsupported(const std::string& why) {
    return fail(Errc::unsupported, "memory groups cannot be made here: " + why);
}

bool has_word(std::string_view text, std::string_view word) {
    for (const std::string_view line : split(text, '\n')) {
        for (const std::string_view one : split(line, ' ')) {
            if (one == word) {
                return true;
            }
        }
    }
    return false;
}

/// A mount of control groups: where it is, and which folder of the hierarchy it shows.
struct Mount {
    std::string point;
    std::string root;
};

/// The mount of the unified hierarchy (no `controller`), or of a controller of version 1; from
/// /proc/self/mountinfo: "… root point options … - type source options-of-the-file-system".
std::optional<Mount> find_mount(const std::string& root, std::string_view controller) {
    const auto text = read_kernel_file(root + "/proc/self/mountinfo");
    for (const std::string_view line : split(text ? *text : std::string(), '\n')) {
        const auto dash = line.find(" - ");
        const auto before = split(line.substr(0, dash), ' ');
        const auto after = dash == std::string_view::npos ? std::vector<std::string_view>()
                                                          : split(line.substr(dash + 3), ' ');
        if (before.size() < 5 || after.size() < 3) {
            continue;
        }
        bool right = controller.empty() && after[0] == "cgroup2";
        if (!controller.empty() && after[0] == "cgroup") {
            for (const std::string_view option : split(after[2], ',')) {
                right = right || option == controller;
            }
        }
        if (right) {
            return Mount{std::string(before[4]), std::string(before[3])};
        }
    }
    return std::nullopt;
}

/// The path of this process in one hierarchy; from /proc/self/cgroup: "4:memory:/path", "0::/path".
std::optional<std::string> own_path(const std::string& root, std::string_view controller) {
    const auto text = read_kernel_file(root + "/proc/self/cgroup");
    for (const std::string_view line : split(text ? *text : std::string(), '\n')) {
        const auto first = line.find(':');
        const auto second = line.find(':', first == std::string_view::npos ? first : first + 1);
        if (second == std::string_view::npos) {
            continue;
        }
        bool right = false;
        for (const std::string_view one : split(line.substr(first + 1, second - first - 1), ',')) {
            right = right || one == controller;
        }
        if (right) {
            return std::string(line.substr(second + 1));
        }
    }
    return std::nullopt;
}

/// The folder of this process' group as the file system shows it.
std::optional<std::string> own_folder(const std::string& root, std::string_view controller) {
    const auto mount = find_mount(root, controller);
    auto path = own_path(root, controller);
    if (!mount || !path) {
        return std::nullopt;
    }
    if (mount->root != "/" && path->starts_with(mount->root)) {
        path->erase(0, mount->root.size()); // a container sees part of the hierarchy only
    }
    return root + mount->point + (*path == "/" ? "" : *path);
}

bool may_make_groups(const std::string& folder) {
    return ::access(folder.c_str(), W_OK) == 0 &&
           ::access((folder + "/cgroup.procs").c_str(), W_OK) == 0;
}

} // namespace

MemoryGroup::MemoryGroup(MemoryGroup&& other) noexcept
    : folder_(std::exchange(other.folder_, {})), unified_(other.unified_),
      limit_bytes_(other.limit_bytes_), kills_before_(other.kills_before_) {}

MemoryGroup& MemoryGroup::operator=(MemoryGroup&& other) noexcept {
    if (this != &other) {
        std::swap(folder_, other.folder_);
        unified_ = other.unified_;
        limit_bytes_ = other.limit_bytes_;
        kills_before_ = other.kills_before_;
    }
    return *this;
}

MemoryGroup::~MemoryGroup() {
    if (!folder_.empty()) {
        ::rmdir(folder_.c_str()); // refused while somebody lives in it; remove_empty() comes later
    }
}

Result<void> MemoryGroup::add(pid_t pid) {
    return write_file(folder_ + "/cgroup.procs", std::to_string(pid));
}

std::uint64_t MemoryGroup::count_kills() const {
    const auto text =
        read_kernel_file(folder_ + (unified_ ? "/memory.events" : "/memory.oom_control"));
    return text ? kernel_number(*text, "oom_kill ").value_or(0) : 0;
}

std::uint64_t MemoryGroup::oom_kills() const {
    const std::uint64_t now = count_kills();
    return now - std::min(now, kills_before_);
}

void MemoryGroup::kill_all() {
    if (unified_ && write_file(folder_ + "/cgroup.kill", "1")) {
        return;
    }
    // Version 1 knows no such file: whoever forks meanwhile is met in the next round.
    for (int round = 0; round < 10; ++round) {
        const auto text = read_kernel_file(folder_ + "/cgroup.procs");
        bool any = false;
        for (const std::string_view line : split(text ? *text : std::string(), '\n')) {
            if (const auto pid = parse_u64(trim(line)); pid && *pid > 1) {
                any = ::kill(static_cast<pid_t>(*pid), SIGKILL) == 0 || any;
            }
        }
        if (!any) {
            return;
        }
    }
}

Result<MemoryGroups> MemoryGroups::find(const std::string& root) {
    auto unified = find_unified(root);
    if (unified) {
        return unified;
    }
    auto first = find_first_version(root);
    return first ? std::move(first) : std::move(unified);
}

Result<MemoryGroups> MemoryGroups::find_unified(const std::string& root) {
    const auto own = own_folder(root, "");
    if (!own) {
        return unsupported("there is no control group file system");
    }
    const std::filesystem::path path(*own);
    const bool in_leaf = path.filename() == own_leaf; // ours, or systemd's DelegateSubgroup=hive
    const std::string base = in_leaf ? path.parent_path().string() : *own;
    const auto controllers = read_kernel_file(base + "/cgroup.controllers");
    if (!controllers || !has_word(*controllers, "memory")) {
        return unsupported("the memory controller is not delegated to " + base);
    }
    if (!may_make_groups(base)) {
        return unsupported(base + " belongs to somebody else");
    }
    if (!in_leaf) {
        const std::string leaf = fmt::format("{}/{}", base, own_leaf);
        ::mkdir(leaf.c_str(), 0755); // one from before will do
        if (const auto moved = write_file(leaf + "/cgroup.procs", std::to_string(::getpid()));
            !moved) {
            return unsupported(moved.error().what);
        }
    }
    if (const auto on = write_file(base + "/cgroup.subtree_control", "+memory"); !on) {
        return unsupported(on.error().what);
    }
    return MemoryGroups(base, true);
}

Result<MemoryGroups> MemoryGroups::find_first_version(const std::string& root) {
    const auto own = own_folder(root, "memory");
    if (!own) {
        return unsupported("there is no memory controller");
    }
    if (!may_make_groups(*own)) {
        return unsupported(*own + " belongs to somebody else");
    }
    return MemoryGroups(*own, false);
}

Result<MemoryGroup> MemoryGroups::make(const std::string& name, std::uint64_t limit_bytes) {
    const std::string folder = fmt::format("{}/{}", folder_, name);
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
        return fail(
            Errc::io,
            fmt::format("cannot make {}: {}", folder, std::generic_category().message(errno))
        );
    }
    MemoryGroup group(folder, unified_, limit_bytes);
    const std::string limit = std::to_string(limit_bytes);
    const auto limited =
        write_file(folder + (unified_ ? "/memory.max" : "/memory.limit_in_bytes"), limit);
    if (!limited) {
        return error_of(limited);
    }
    // Without this, what passes the limit would be swapped instead. Kernels may not count swap.
    const auto swapless = unified_ ? write_file(folder + "/memory.swap.max", "0")
                                   : write_file(folder + "/memory.memsw.limit_in_bytes", limit);
    (void)swapless;
    group.kills_before_ = group.count_kills();
    return group;
}

void MemoryGroups::remove_empty(const std::string& prefix) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
        if (entry.is_directory(error) && entry.path().filename().string().starts_with(prefix)) {
            ::rmdir(entry.path().c_str()); // refused while somebody lives in it
        }
    }
}

} // namespace rbee::process
