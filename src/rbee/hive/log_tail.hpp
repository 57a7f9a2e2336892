#pragma once

#include "rbee/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rbee::hive {

/// Bytes of a log file and where the next ones begin.
struct LogPiece {
    std::string text;
    std::uint64_t next = 0;
};

/// Path of a worker's log. `worker_id` has been checked: it holds no separators.
[[nodiscard]] std::string log_path_of(const std::string& log_dir, std::string_view worker_id);

/// The last `lines` lines of a file, at most 1 MiB. Fails with Errc::not_found. Blocks.
[[nodiscard]] Result<LogPiece> read_tail(const std::string& path, std::size_t lines);

/// What was appended since `from`, at most 256 KiB; a file that became shorter is read from its
/// beginning. Blocks.
[[nodiscard]] Result<LogPiece> read_from(const std::string& path, std::uint64_t from);

/// What a worker said last: the message of its last error, else its last line. Empty when it said
/// nothing. Control characters become spaces; at most 300 bytes.
[[nodiscard]] std::string last_words(std::string_view log);

} // namespace rbee::hive
