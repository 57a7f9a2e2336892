#pragma once

#include "rbee/base/unique_fd.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::audit {

/// Reads a file line by line in a bounded amount of memory. Not thread-safe.
class LineReader {
public:
    struct Line {
        std::string_view text; ///< Without its line end; valid until the next call.
        std::uint64_t offset;  ///< Where it begins in the file.
        bool complete;         ///< It has a line end.
    };

    explicit LineReader(UniqueFd file, std::uint64_t offset = 0);
    /// Opens `path`; nothing with errno set when that fails.
    [[nodiscard]] static std::optional<LineReader> open(const std::string& path);

    /// The next line; nothing at the end of the file, after which it may be called again to see
    /// what was added. A line longer than 1 MiB comes in pieces, as if each were one.
    [[nodiscard]] std::optional<Line> next();
    /// Takes an incomplete line back, so that it is read again when it is whole.
    void put_back(const Line& line);
    /// True when reading failed, which next() shows as the end of the file.
    [[nodiscard]] bool failed() const { return failed_; }

private:
    bool fill();

    UniqueFd file_;
    std::string buffer_;
    std::size_t used_ = 0; ///< Bytes of the buffer that were given out.
    std::uint64_t base_;   ///< Where the buffer begins in the file.
    bool failed_ = false;
};

} // namespace rbee::audit
