#pragma once

#include "rbee/base/result.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace rbee::process {

/// A control group that limits the memory of one child. The folder in the kernel's file system goes
/// with this object once nobody lives in the group.
class MemoryGroup {
public:
    MemoryGroup(MemoryGroup&& other) noexcept;
    MemoryGroup& operator=(MemoryGroup&& other) noexcept;
    MemoryGroup(const MemoryGroup&) = delete;
    MemoryGroup& operator=(const MemoryGroup&) = delete;
    ~MemoryGroup();

    /// Moves a process in; its later children are born there. Errc::io.
    [[nodiscard]] Result<void> add(pid_t pid);
    /// Processes of this group that the kernel has killed for passing its limit, since make().
    [[nodiscard]] std::uint64_t oom_kills() const;
    [[nodiscard]] std::uint64_t limit_bytes() const { return limit_bytes_; }
    /// SIGKILL for everybody inside, also those who left their process group.
    void kill_all();

private:
    friend class MemoryGroups;
    MemoryGroup(std::string folder, bool unified, std::uint64_t limit_bytes)
        : folder_(std::move(folder)), unified_(unified), limit_bytes_(limit_bytes) {}
    [[nodiscard]] std::uint64_t count_kills() const;

    std::string folder_;
    bool unified_ = false;
    std::uint64_t limit_bytes_ = 0;
    std::uint64_t kills_before_ = 0;
};

/// Where memory groups of children can be made: below the group of this process, in version 2 of
/// the kernel's interface where it was delegated to us with the memory controller, else in version
/// 1. Blocks for as long as small files of the kernel take. Not thread-safe.
class MemoryGroups {
public:
    /// Errc::unsupported, with the reason, where this process may not make groups. In version 2 a
    /// group with children must hold no process, so this process moves into a group "hive" of its
    /// own. `root` is for tests.
    [[nodiscard]] static Result<MemoryGroups> find(const std::string& root = "");

    /// A group of at most `limit_bytes` of memory, without swap where the kernel counts it. File
    /// pages count, but are given back before anybody is killed. One of that name from before is
    /// taken over. Errc::io.
    [[nodiscard]] Result<MemoryGroup> make(const std::string& name, std::uint64_t limit_bytes);
    /// Removes groups of earlier lives in which nobody lives any more: all whose names begin so.
    void remove_empty(const std::string& prefix);

    [[nodiscard]] const std::string& folder() const { return folder_; }

private:
    MemoryGroups(std::string folder, bool unified)
        : folder_(std::move(folder)), unified_(unified) {}
    [[nodiscard]] static Result<MemoryGroups> find_unified(const std::string& root);
    [[nodiscard]] static Result<MemoryGroups> find_first_version(const std::string& root);

    std::string folder_;
    bool unified_ = false;
};

} // namespace rbee::process
