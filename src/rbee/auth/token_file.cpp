#include "rbee/auth/bearer.hpp"
#include "rbee/base/text.hpp"
#include "rbee/base/unique_fd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace rbee::auth {
namespace {

constexpr off_t file_bytes_max = off_t{1024} * 1024;

Result<void> check_mode(const std::string& path, const struct stat& info) {
    if ((info.st_mode & 077U) != 0) {
        return fail(
            Errc::forbidden,
            fmt::format(
                "Failed to load API token: Secret file has insecure permissions: {:04o} on {}. "
                "Expected: 0600 (owner read/write only)",
                info.st_mode & 07777U,
                path
            )
        );
    }
    return {};
}

Result<Secret> to_token(const std::string& path, std::string text) {
    const std::string_view line = trim(text);
    if (text.empty()) {
        return fail(Errc::invalid_argument, "Failed to load API token: " + path + " is empty");
    }
    if (line.empty()) {
        return fail(
            Errc::invalid_argument,
            "Failed to load API token: " + path + " contains only whitespace"
        );
    }
    if (line.contains('\n') || line.contains('\r')) {
        return fail(
            Errc::invalid_argument,
            "Failed to load API token: " + path + " must contain exactly one line"
        );
    }
    Secret token{std::string(line)};
    const Secret wiped(std::move(text));
    return token;
}

} // namespace

Result<Secret> load_token_file(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) {
        if (errno == ENOENT) {
            return fail(
                Errc::not_found, "Failed to load API token: API token file not found: " + path
            );
        }
        return fail(
            Errc::io,
            fmt::format(
                "Failed to load API token: Cannot read {}: {}",
                path,
                std::generic_category().message(errno)
            )
        );
    }
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return fail(
            Errc::invalid_argument, "Failed to load API token: not a regular file: " + path
        );
    }
    if (const auto mode = check_mode(path, info); !mode) {
        return error_of(mode);
    }
    if (info.st_size > file_bytes_max) {
        return fail(Errc::too_large, "Failed to load API token: larger than 1 MiB: " + path);
    }
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    const ssize_t size = ::read(fd.get(), text.data(), text.size());
    if (size < 0) {
        return fail(Errc::io, "Failed to load API token: cannot read " + path);
    }
    text.resize(static_cast<std::size_t>(size));
    return to_token(path, std::move(text));
}

Result<void> store_token_file(const std::string& path, const Secret& token) {
    const std::string draft = fmt::format("{}.{}.tmp", path, ::getpid());
    const UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.valid()) {
        return fail(
            Errc::io,
            fmt::format("cannot create {}: {}", draft, std::generic_category().message(errno))
        );
    }
    const Secret line(std::string(token.expose()) + "\n");
    const auto size = static_cast<ssize_t>(line.expose().size());
    const bool written = ::write(fd.get(), line.expose().data(), line.expose().size()) == size &&
                         ::fsync(fd.get()) == 0;
    if (!written || ::rename(draft.c_str(), path.c_str()) != 0) {
        const int error = errno; // unlink() sets its own
        ::unlink(draft.c_str());
        return fail(
            Errc::io,
            fmt::format("cannot write {}: {}", path, std::generic_category().message(error))
        );
    }
    return {};
}

} // namespace rbee::auth
