#include "rbee/process/oom_watch.hpp"

#include "rbee/base/text.hpp"
#include "rbee/process/kernel_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace rbee::process {
namespace {

constexpr std::size_t kills_kept = 64;
/// One record of /dev/kmsg is never longer (CONSOLE_EXT_LOG_MAX of the kernel).
constexpr std::size_t record_bytes_max = 8192;
/// The first process namespace (PROC_PID_INIT_INO of the kernel).
constexpr std::string_view first_namespace = "pid:[4026531836]";

} // namespace

OomWatch::OomWatch(const std::string& root)
    : root_(root),
      log_(::open((root + "/dev/kmsg").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)) {
    if (log_.valid()) {
        ::lseek(log_.get(), 0, SEEK_END);
    }
    std::error_code error;
    const auto names = std::filesystem::read_symlink(root + "/proc/self/ns/pid", error);
    same_pids_ = !error && names.string() == first_namespace;
    last_ = count();
    before_last_ = last_;
}

std::optional<std::uint64_t> OomWatch::count() const {
    const auto text = read_kernel_file(root_ + "/proc/vmstat");
    return text ? kernel_number(*text, "oom_kill ") : std::nullopt;
}

void OomWatch::note(std::string_view record) {
    // "3,1234,567,-;Memory cgroup out of memory: Killed process 321 (name) total-vm:…"
    constexpr std::string_view mark = "Killed process ";
    const auto text = record.substr(std::min(record.find(';') + 1, record.size()));
    const auto line = text.substr(0, text.find('\n'));
    const auto at = line.find(mark);
    if (at == std::string_view::npos || !to_lower(line).contains("out of memory")) {
        return;
    }
    const auto number = line.substr(at + mark.size());
    if (const auto pid = parse_u64(number.substr(0, number.find(' ')))) {
        kills_.push_back({static_cast<std::int64_t>(*pid), std::string(line)});
        if (kills_.size() > kills_kept) {
            kills_.pop_front();
        }
    }
}

void OomWatch::read_log() {
    std::array<char, record_bytes_max> record{};
    while (log_.valid()) {
        const ssize_t got = ::read(log_.get(), record.data(), record.size());
        if (got > 0) {
            note({record.data(), static_cast<std::size_t>(got)});
        } else if (got == 0 || (errno != EINTR && errno != EPIPE)) { // EPIPE: some were overwritten
            return;
        }
    }
}

void OomWatch::refresh() {
    read_log();
    before_last_ = std::exchange(last_, count());
}

std::optional<std::string> OomWatch::evidence(pid_t pid) {
    read_log();
    const auto named = std::ranges::find(kills_, std::int64_t{pid}, &Kill::pid);
    if (same_pids_ && named != kills_.end()) {
        std::string line = fmt::format("the kernel's log: {}", named->line);
        kills_.erase(named); // its number may come again
        return line;
    }
    if (same_pids_ && log_.valid()) {
        return std::nullopt; // it would be named there
    }
    const auto now = count();
    if (!now || !before_last_ || *now <= *before_last_) {
        return std::nullopt;
    }
    return fmt::format(
        "the kernel killed {} on this machine for lack of memory at that time (/proc/vmstat)",
        *now - *before_last_ == 1 ? std::string("a process")
                                  : fmt::format("{} processes", *now - *before_last_)
    );
}

} // namespace rbee::process
