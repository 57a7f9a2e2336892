#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rbee::process {

/// Milliseconds since boot in which the disk that holds `path` had something to do (field 13 of
/// Documentation/admin-guide/iostats.rst of the kernel): the difference of two looks over the time
/// between them is how busy it is. Nothing for file systems without a disk. `root` is for tests.
[[nodiscard]] std::optional<std::uint64_t>
disk_busy_ms(const std::string& path, const std::string& root = "");

} // namespace rbee::process
