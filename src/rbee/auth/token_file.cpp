#include "rbee/auth/token_file.hpp"

#include "rbee/auth/secret_file.hpp"
#include "rbee/base/text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace rbee::auth {
namespace {

constexpr std::string_view failed = "Failed to load API token";
constexpr std::size_t handed_over_bytes_max = 8192; ///< Longer ones do not fit into a header.

std::unexpected<Error> fail_to_load(Errc code, const std::string& what) {
    return std::unexpected(Error{code, what, {}}.within(failed));
}

Result<Secret> one_line(const Secret& content, const std::string& name) {
    if (content.empty()) {
        return fail_to_load(Errc::invalid_argument, name + " is empty");
    }
    const std::string_view line = trim(content.expose());
    if (line.empty()) {
        return fail_to_load(Errc::invalid_argument, name + " contains only whitespace");
    }
    if (line.contains('\n') || line.contains('\r')) {
        return fail_to_load(Errc::invalid_argument, name + " must contain exactly one line");
    }
    if (line.contains('\0')) {
        return fail_to_load(Errc::invalid_argument, name + " contains a null byte");
    }
    return Secret::copy_of(line);
}

} // namespace

Result<Secret> load_token_file(const std::string& path, const SecretFileRules& rules) {
    const auto content = read_secret_file(path, rules);
    if (!content) {
        return std::unexpected(content.error().within(failed));
    }
    return one_line(*content, path);
}

Result<Secret> load_token_file(const std::string& path) {
    return load_token_file(path, {.what = "API token file"});
}

Result<Secret> load_token_fd(int fd, const std::string& name) {
    Secret content = Secret::of_size(handed_over_bytes_max);
    std::size_t size = 0;
    while (size < content.size()) {
        const ssize_t got = ::read(fd, content.writable() + size, content.size() - size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_to_load(Errc::io, "cannot read " + name);
        }
        if (got == 0) {
            content.shrink(size);
            return one_line(content, name);
        }
        size += static_cast<std::size_t>(got);
    }
    return fail_to_load(Errc::too_large, name + " holds more than a token");
}

Result<UniqueFd> hand_over(const Secret& token) {
    // What fits into a header fits into a pipe, so nobody need read while this writes.
    if (token.size() > handed_over_bytes_max) {
        return fail(Errc::too_large, "the token is too long to be handed over");
    }
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail(Errc::io, "no pipe for a token: " + std::generic_category().message(errno));
    }
    UniqueFd reading(ends[0]);
    const UniqueFd writing(ends[1]);
    const auto written = ::write(writing.get(), token.expose().data(), token.size());
    if (written != static_cast<ssize_t>(token.size())) {
        return fail(Errc::io, "cannot hand a token over");
    }
    return reading;
}

Result<void> store_token_file(const std::string& path, const Secret& token) {
    Secret line = Secret::of_size(token.size() + 1);
    token.expose().copy(line.writable(), token.size());
    line.writable()[token.size()] = '\n';
    return write_secret_file(path, line.expose());
}

} // namespace rbee::auth
