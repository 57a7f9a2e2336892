#include "rbee/process/kernel_file.hpp"

#include "rbee/base/text.hpp"
#include "rbee/base/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace rbee::process {

std::optional<std::string> read_kernel_file(const std::string& path) {
    // No stream: where the process of a file ends between open and read, one would throw.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open has no other form
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) {
        return std::nullopt;
    }
    std::string out;
    std::array<char, 4096> part{};
    while (true) {
        const ssize_t got = ::read(file.get(), part.data(), part.size());
        if (got > 0) {
            out.append(part.data(), static_cast<std::size_t>(got));
        } else if (got == 0) {
            return out;
        } else if (errno != EINTR) {
            return std::nullopt;
        }
    }
}

std::optional<std::uint64_t> kernel_number(std::string_view text, std::string_view name) {
    for (std::string_view line : split(text, '\n')) {
        if (!line.starts_with(name)) {
            continue;
        }
        line = trim(line.substr(name.size()));
        return parse_u64(line.substr(0, line.find(' ')));
    }
    return std::nullopt;
}

} // namespace rbee::process
