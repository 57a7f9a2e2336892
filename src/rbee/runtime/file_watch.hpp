#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace rbee::runtime {

/// Notices when files change, come or go, also by rename and through symlinks. What is watched are
/// their folders (inotify), so that a file that replaces another is seen. Belongs to one event
/// loop.
class FileWatch {
public:
    /// Changes within this belong together: who writes a file by hand does so in several steps.
    static constexpr Duration settle_default = std::chrono::milliseconds(50);

    /// Begins to watch. Empty paths are passed over.
    FileWatch(Timers& timers, std::vector<std::string> paths, Duration settle = settle_default);

    /// False when a folder cannot be watched, because it is not there or the kernel has no more
    /// watches: then changes in it go unnoticed.
    [[nodiscard]] bool complete() const { return complete_; }

    /// Returns when a file is no longer what it was when this was built or last returned. Throws
    /// system_error(operation_aborted) when cancelled.
    [[nodiscard]] boost::asio::awaitable<void> changed();

private:
    /// What tells two versions of a file apart.
    struct Mark {
        unsigned long device = 0;
        unsigned long inode = 0;
        long size = -1; ///< -1: there is none.
        long modified_ns = 0;
        long changed_ns = 0;
        [[nodiscard]] bool operator==(const Mark&) const = default;
    };
    [[nodiscard]] static Mark mark_of(const std::string& path);
    [[nodiscard]] std::vector<Mark> look() const;
    void watch_folders();
    void drain();

    Timers& timers_;
    std::vector<std::string> paths_;
    Duration settle_;
    boost::asio::posix::stream_descriptor events_;
    std::vector<Mark> seen_;
    bool complete_ = true;
};

} // namespace rbee::runtime
