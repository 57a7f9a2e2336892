#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace rbee::process {

/// A worker's stdout and stderr in a file of bounded size. The worker writes to the file itself, so
/// it never waits for us. Keeps at most `path` and `path`.1. All functions block: use a pool thread
/// while the loop serves. Errors are Errc::io.
class LogFile {
public:
    LogFile(std::string path, std::uint64_t bytes_max)
        : path_(std::move(path)), bytes_max_(bytes_max) {}

    /// Opens for appending (0600), making the folder (0700) first. For Command::log_fd.
    [[nodiscard]] Result<UniqueFd> open() const;

    /// When the file is above the limit: copies its last `bytes_max` bytes to `.1` and empties it.
    /// True when it did so. Lines written between the copy and the cut are lost.
    [[nodiscard]] Result<bool> enforce_limit() const;

    /// The last `bytes` bytes, from `.1` too where the file itself has fewer; empty if there is
    /// none.
    [[nodiscard]] Result<std::string> tail(std::size_t bytes) const;

    /// Removes both files; those that are not there are no error.
    [[nodiscard]] Result<void> remove() const;

    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
    std::uint64_t bytes_max_;
};

} // namespace rbee::process
