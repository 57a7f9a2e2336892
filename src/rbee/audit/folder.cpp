#include "rbee/audit/folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

namespace rbee::audit {
namespace {

namespace fs = std::filesystem;

constexpr const char* lock_name = "lock";

std::unexpected<std::errc> last_error() {
    return std::unexpected(static_cast<std::errc>(errno));
}

/// 0 as a value, anything else as the error in errno.
Io<void> checked(int result) {
    return result == 0 ? Io<void>() : Io<void>(last_error());
}

/// Calls again what a signal interrupted.
template <typename Call>
auto again(const Call& call) {
    auto result = call();
    while (result < 0 && errno == EINTR) {
        result = call();
    }
    return result;
}

class SystemFolder final : public Folder {
public:
    SystemFolder(UniqueFd folder, UniqueFd lock)
        : folder_(std::move(folder)), lock_(std::move(lock)) {}

    Io<UniqueFd> create(const std::string& name) override {
        return open(name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
    }
    Io<UniqueFd> open_append(const std::string& name) override {
        return open(name, O_WRONLY | O_APPEND);
    }
    Io<UniqueFd> open_update(const std::string& name) override {
        return open(name, O_RDWR | O_CREAT);
    }

    Io<std::size_t> write(int fd, std::string_view data) override {
        const ssize_t count = again([&] { return ::write(fd, data.data(), data.size()); });
        return count > 0 ? Io<std::size_t>(static_cast<std::size_t>(count))
                         : Io<std::size_t>(last_error());
    }

    Io<void> overwrite(int fd, std::string_view data) override {
        const ssize_t count = again([&] { return ::pwrite(fd, data.data(), data.size(), 0); });
        if (count < 0) {
            return last_error();
        }
        const bool whole = static_cast<std::size_t>(count) == data.size();
        return whole ? Io<void>() : std::unexpected(std::errc::io_error);
    }

    Io<void> sync(int fd) override {
        return checked(again([&] { return ::fdatasync(fd); }));
    }

    Io<void> truncate(const std::string& name, std::uint64_t bytes) override {
        const auto file = open(name, O_WRONLY);
        if (!file) {
            return std::unexpected(file.error());
        }
        const auto size = static_cast<off_t>(bytes);
        if (again([&] { return ::ftruncate(file->get(), size); }) != 0) {
            return last_error();
        }
        return checked(again([&] { return ::fsync(file->get()); }));
    }

    Io<void> rename(const std::string& from, const std::string& to) override {
        return checked(::renameat(folder_.get(), from.c_str(), folder_.get(), to.c_str()));
    }
    Io<void> remove(const std::string& name) override {
        return checked(::unlinkat(folder_.get(), name.c_str(), 0));
    }
    Io<void> seal(const std::string& name) override {
        return checked(::fchmodat(folder_.get(), name.c_str(), S_IRUSR, 0));
    }
    Io<void> sync_names() override {
        return checked(again([&] { return ::fsync(folder_.get()); }));
    }

    Io<void> reserve(const std::string& name, std::uint64_t bytes) override {
        const auto file = open_update(name);
        if (!file) {
            return std::unexpected(file.error());
        }
        const int error = ::posix_fallocate(file->get(), 0, static_cast<off_t>(bytes));
        return error == 0 ? Io<void>() : std::unexpected(static_cast<std::errc>(error));
    }

    Io<std::vector<File>> list() override;
    Io<std::string> read(const std::string& name) override;

    Io<Space> space() override {
        struct statvfs info{};
        if (::fstatvfs(folder_.get(), &info) != 0) {
            return last_error();
        }
        return Space{info.f_bavail * info.f_frsize, info.f_blocks * info.f_frsize};
    }

private:
    [[nodiscard]] Io<UniqueFd> open(const std::string& name, int flags) const {
        const int all = flags | O_CLOEXEC | O_NOFOLLOW;
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): openat has no other form
        const int fd = again([&] { return ::openat(folder_.get(), name.c_str(), all, 0600); });
        return fd >= 0 ? Io<UniqueFd>(UniqueFd(fd)) : Io<UniqueFd>(last_error());
    }

    UniqueFd folder_;
    UniqueFd lock_; ///< Holds the lock as long as it is open.
};

Io<std::vector<Folder::File>> SystemFolder::list() {
    // A descriptor of its own: closedir() closes what it was given.
    const int fd = again([&] { return ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY); });
    if (fd < 0) {
        return last_error();
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> names(::fdopendir(fd), ::closedir);
    if (!names) {
        const auto error = last_error();
        ::close(fd);
        return error;
    }
    std::vector<File> files;
    errno = 0;
    while (const dirent* entry = ::readdir(names.get())) { // NOLINT(concurrency-mt-unsafe): own DIR
        struct stat info{};
        if (::fstatat(folder_.get(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode)) {
            files.push_back({entry->d_name, static_cast<std::uint64_t>(info.st_size)});
        }
        errno = 0;
    }
    return errno == 0 ? Io<std::vector<File>>(std::move(files))
                      : Io<std::vector<File>>(last_error());
}

Io<std::string> SystemFolder::read(const std::string& name) {
    const auto file = open(name, O_RDONLY);
    if (!file) {
        return std::unexpected(file.error());
    }
    struct stat info{};
    if (::fstat(file->get(), &info) != 0) {
        return last_error();
    }
    std::string out(static_cast<std::size_t>(info.st_size), '\0');
    std::size_t have = 0;
    while (have < out.size()) {
        const ssize_t count =
            again([&] { return ::read(file->get(), out.data() + have, out.size() - have); });
        if (count < 0) {
            return last_error();
        }
        if (count == 0) {
            break;
        }
        have += static_cast<std::size_t>(count);
    }
    out.resize(have);
    return out;
}

std::unexpected<Error> refused(const std::string& path, std::string_view what) {
    return fail(Errc::forbidden, fmt::format("audit folder {}: {}", path, what));
}

/// Makes the folder and those above it, and opens it.
Result<UniqueFd> open_path(const std::string& path) {
    std::error_code error;
    if (!fs::exists(path, error)) {
        const fs::path parent = fs::path(path).parent_path();
        if (!parent.empty()) {
            fs::create_directories(parent, error);
        }
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
            const auto why = describe(static_cast<std::errc>(errno));
            return fail(Errc::io, fmt::format("cannot make the audit folder {}: {}", path, why));
        }
    }
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open has no other form
    UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!folder.valid()) {
        const auto why = describe(static_cast<std::errc>(errno));
        return fail(Errc::io, fmt::format("cannot open the audit folder {}: {}", path, why));
    }
    return folder;
}

} // namespace

std::string describe(std::errc error) {
    return std::generic_category().message(static_cast<int>(error));
}

Result<std::unique_ptr<Folder>> open_folder(const std::string& path) {
    auto folder = open_path(path);
    if (!folder) {
        return error_of(folder);
    }
    struct stat info{};
    if (::fstat(folder->get(), &info) != 0 || info.st_uid != ::geteuid()) {
        return refused(path, "belongs to another user");
    }
    // Reading is not for others either: the log says who did what.
    if ((info.st_mode & 0077U) != 0 && ::fchmod(folder->get(), 0700) != 0) {
        return refused(path, "is open to other users");
    }
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): openat has no other form
    UniqueFd lock(::openat(folder->get(), lock_name, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock.valid()) {
        const auto why = describe(static_cast<std::errc>(errno));
        return fail(Errc::io, fmt::format("cannot lock the audit folder {}: {}", path, why));
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(
            Errc::conflict, fmt::format("audit folder {}: another process writes to it", path)
        );
    }
    return std::make_unique<SystemFolder>(std::move(*folder), std::move(lock));
}

bool has_writer(const std::string& path) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open has no other form
    const UniqueFd lock(::open((path + "/" + lock_name).c_str(), O_RDONLY | O_CLOEXEC));
    return lock.valid() && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0;
}

} // namespace rbee::audit
