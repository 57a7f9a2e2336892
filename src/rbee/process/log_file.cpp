#include "rbee/process/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace rbee::process {
namespace {

std::unexpected<Error> failed(std::string_view doing, const std::string& path) {
    return fail(
        Errc::io,
        "cannot " + std::string(doing) + " " + path + ": " + std::generic_category().message(errno)
    );
}

std::uint64_t size_of(const UniqueFd& fd) {
    struct stat status{};
    return ::fstat(fd.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// Hands the last `bytes` bytes of `fd`, at most, to `use` in pieces.
template <typename Use>
bool read_end(const UniqueFd& fd, std::uint64_t bytes, Use use) {
    const std::uint64_t size = size_of(fd);
    std::uint64_t at = size - std::min(size, bytes);
    std::array<char, 65536> buffer{};
    while (at < size) {
        const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), size - at);
        const ssize_t got = ::pread(fd.get(), buffer.data(), wanted, static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return false;
        }
        if (got == 0) {
            return true; // cut meanwhile
        }
        if (!use(std::string_view(buffer.data(), static_cast<std::size_t>(got)))) {
            return false;
        }
        at += static_cast<std::uint64_t>(got);
    }
    return true;
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t wrote = ::write(fd, text.data(), text.size());
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        text.remove_prefix(wrote > 0 ? static_cast<std::size_t>(wrote) : 0);
    }
    return true;
}

} // namespace

Result<UniqueFd> LogFile::open() const {
    const auto folder = std::filesystem::path(path_).parent_path();
    std::error_code error;
    if (!folder.empty() && std::filesystem::create_directories(folder, error)) {
        std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
    }
    UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!fd.valid()) {
        return failed("open", path_);
    }
    return fd;
}

Result<bool> LogFile::enforce_limit() const {
    const UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid()) {
        if (errno == ENOENT) {
            return false;
        }
        return failed("open", path_);
    }
    if (size_of(fd) <= bytes_max_) {
        return false;
    }
    const std::string unfinished = path_ + ".1.tmp";
    const UniqueFd old(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!old.valid()) {
        return failed("open", unfinished);
    }
    const bool copied = read_end(fd, bytes_max_, [&](std::string_view piece) {
        return write_all(old.get(), piece);
    });
    // A full disk must not keep the log growing: it is cut even where the copy failed.
    const bool kept = copied && ::rename(unfinished.c_str(), (path_ + ".1").c_str()) == 0;
    if (!kept) {
        ::unlink(unfinished.c_str());
    }
    if (::ftruncate(fd.get(), 0) != 0) {
        return failed("cut", path_);
    }
    return true;
}

Result<std::string> LogFile::tail(std::size_t bytes) const {
    std::string text;
    for (const std::string& path : {path_, path_ + ".1"}) {
        const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!fd.valid() && errno == ENOENT) {
            continue;
        }
        std::string piece;
        const bool read =
            fd.valid() && read_end(fd, bytes - text.size(), [&](std::string_view part) {
                piece += part;
                return true;
            });
        if (!read) {
            return failed("read", path);
        }
        text.insert(0, piece);
        if (text.size() >= bytes) {
            break;
        }
    }
    return text;
}

Result<void> LogFile::remove() const {
    for (const std::string& path : {path_, path_ + ".1", path_ + ".1.tmp"}) {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
            return failed("remove", path);
        }
    }
    return {};
}

} // namespace rbee::process
