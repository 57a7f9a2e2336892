#include "rbee/runtime/file_watch.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

namespace rbee::runtime {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

/// Without IN_MODIFY: half-written files are of no interest, and databases in the same folder would
/// wake us with each write.
constexpr std::uint32_t events_wanted =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | IN_ONLYDIR;

fs::path folder_of(const fs::path& path) {
    return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

long nanoseconds(const timespec& time) {
    return time.tv_sec * 1'000'000'000L + time.tv_nsec;
}

} // namespace

FileWatch::FileWatch(Timers& timers, std::vector<std::string> paths, Duration settle)
    : timers_(timers), paths_(std::move(paths)), settle_(settle), events_(timers.executor()) {
    std::erase_if(paths_, [](const std::string& path) { return path.empty(); });
    const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) {
        complete_ = false;
    } else {
        events_.assign(fd);
        watch_folders();
    }
    seen_ = look();
}

void FileWatch::watch_folders() {
    std::set<fs::path> folders;
    for (const std::string& path : paths_) {
        folders.insert(folder_of(path));
        std::error_code none; // then there is no link to follow
        const fs::path real = fs::canonical(path, none);
        if (!none) {
            folders.insert(folder_of(real));
        }
    }
    for (const fs::path& folder : folders) {
        const int watch =
            ::inotify_add_watch(events_.native_handle(), folder.c_str(), events_wanted);
        complete_ = complete_ && watch >= 0;
    }
}

FileWatch::Mark FileWatch::mark_of(const std::string& path) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) {
        return {};
    }
    return {
        .device = info.st_dev,
        .inode = info.st_ino,
        .size = info.st_size,
        .modified_ns = nanoseconds(info.st_mtim),
        .changed_ns = nanoseconds(info.st_ctim),
    };
}

std::vector<FileWatch::Mark> FileWatch::look() const {
    std::vector<Mark> out;
    out.reserve(paths_.size());
    for (const std::string& path : paths_) {
        out.push_back(mark_of(path));
    }
    return out;
}

void FileWatch::drain() {
    std::array<char, 4096> buffer{};
    while (::read(events_.native_handle(), buffer.data(), buffer.size()) > 0) {
    }
}

asio::awaitable<void> FileWatch::changed() {
    if (!events_.is_open()) {
        co_await timers_.sleep_until(TimePoint::max());
    }
    while (true) {
        co_await events_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        co_await timers_.sleep_for(settle_);
        drain();
        std::vector<Mark> now = look();
        if (now != seen_) {
            seen_ = std::move(now);
            watch_folders(); // a link may lead elsewhere now
            co_return;
        }
    }
}

} // namespace rbee::runtime
