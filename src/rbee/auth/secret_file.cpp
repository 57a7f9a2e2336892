#include "rbee/auth/secret_file.hpp"

#include "rbee/base/text.hpp"
#include "rbee/base/unique_fd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace rbee::auth {
namespace {

std::string text_of(int error) {
    return std::generic_category().message(error);
}

Result<UniqueFd> open_secret(const std::string& path, const SecretFileRules& rules) {
    // Not blocking: a FIFO in place of the file must be refused, not waited for.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open has no other form
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (fd.valid()) {
        return fd;
    }
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
        return fail(Errc::not_found, fmt::format("{} not found: {}", rules.what, path));
    }
    return fail(Errc::io, fmt::format("Cannot read {}: {}: {}", rules.what, text_of(error), path));
}

Result<void>
check_rights(const std::string& path, const SecretFileRules& rules, const struct stat& info) {
    const bool by_systemd = rules.credential && info.st_uid == 0 && info.st_gid == 0;
    const mode_t forbidden = by_systemd ? 037U : 077U;
    if ((info.st_mode & forbidden) != 0) {
        return fail(
            Errc::forbidden,
            fmt::format(
                "Secret file has insecure permissions: {0:04o} on {1}. Expected: 0600 (owner "
                "read/write only); run: chmod 600 {1}",
                info.st_mode & 07777U,
                path
            )
        );
    }
    if (info.st_uid != ::geteuid() && info.st_uid != 0) {
        return fail(
            Errc::forbidden,
            fmt::format("Secret file belongs to another user (uid {}): {}", info.st_uid, path)
        );
    }
    return {};
}

/// Where the opened file really lies; the kernel knows it, whatever happened to the path since.
Result<void> check_root(const std::string& path, const SecretFileRules& rules, int fd) {
    if (rules.root.empty()) {
        return {};
    }
    std::error_code error;
    const auto real = std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", fd), error);
    std::string root = std::filesystem::canonical(rules.root, error).string();
    root += root.ends_with('/') ? "" : "/";
    if (error || !real.string().starts_with(root)) {
        return fail(
            Errc::forbidden, fmt::format("{} lies outside of {}: {}", rules.what, rules.root, path)
        );
    }
    return {};
}

/// Reads the file to its end. `size` is what fstat said.
Result<Secret>
read_all(const std::string& path, const SecretFileRules& rules, int fd, std::size_t size) {
    if (size > rules.bytes_max) {
        return fail(
            Errc::too_large,
            fmt::format(
                "{} is larger than {}: {}",
                rules.what,
                rules.bytes_max == secret_bytes_max ? "1 MiB"
                                                    : fmt::format("{} B", rules.bytes_max),
                path
            )
        );
    }
    Secret content = Secret::of_size(size + 1); // one more shows a file that grows
    std::size_t done = 0;
    while (done < content.size()) {
        const ssize_t got = ::read(fd, content.writable() + done, content.size() - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            const int error = errno;
            return fail(
                Errc::io, fmt::format("Cannot read {}: {}: {}", rules.what, text_of(error), path)
            );
        }
        if (got == 0) {
            content.shrink(done);
            return content;
        }
        done += static_cast<std::size_t>(got);
    }
    return fail(Errc::io, fmt::format("{} changed while it was read: {}", rules.what, path));
}

} // namespace

Result<Secret> read_secret_file(const std::string& path, const SecretFileRules& rules) {
    const auto fd = open_secret(path, rules);
    if (!fd) {
        return error_of(fd);
    }
    struct stat info{};
    if (::fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return fail(
            Errc::invalid_argument, fmt::format("{} is not a regular file: {}", rules.what, path)
        );
    }
    if (const auto rights = check_rights(path, rules, info); !rights) {
        return error_of(rights);
    }
    if (const auto inside = check_root(path, rules, fd->get()); !inside) {
        return error_of(inside);
    }
    return read_all(path, rules, fd->get(), static_cast<std::size_t>(info.st_size));
}

Result<void> write_secret_file(const std::string& path, std::string_view content) {
    const std::string draft = fmt::format("{}.{}.tmp", path, ::getpid());
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open has no other form
    const UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.valid()) {
        return fail(Errc::io, fmt::format("cannot create {}: {}", draft, text_of(errno)));
    }
    bool good = true;
    for (std::size_t done = 0; good && done < content.size();) {
        const ssize_t wrote = ::write(fd.get(), content.data() + done, content.size() - done);
        good = wrote > 0 || (wrote < 0 && errno == EINTR);
        done += wrote > 0 ? static_cast<std::size_t>(wrote) : 0;
    }
    if (!good || ::fsync(fd.get()) != 0 || ::rename(draft.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(draft.c_str());
        return fail(Errc::io, fmt::format("cannot write {}: {}", path, text_of(error)));
    }
    return {};
}

Result<std::string> credential_path(const config::Environment& environment, std::string_view name) {
    const auto folder = environment("CREDENTIALS_DIRECTORY");
    if (!folder || folder->empty()) {
        return fail(Errc::not_found, "systemd credential not found: CREDENTIALS_DIRECTORY not set");
    }
    if (!folder->starts_with('/')) {
        return fail(Errc::invalid_argument, "CREDENTIALS_DIRECTORY must be an absolute path");
    }
    const bool good_name =
        !name.empty() &&
        name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
        ) == std::string_view::npos;
    if (!good_name) {
        return fail(
            Errc::invalid_argument,
            "the name of a systemd credential may have letters, digits, '_' and '-' only"
        );
    }
    return fmt::format("{}/{}", *folder, name);
}

} // namespace rbee::auth
