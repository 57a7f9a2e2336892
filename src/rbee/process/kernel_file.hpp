#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::process {

/// The whole of a small file of the kernel's, such as /proc/meminfo; nothing when it cannot be
/// read.
[[nodiscard]] std::optional<std::string> read_kernel_file(const std::string& path);

/// The number behind `name` in lines such as "MemTotal:  123 kB" or "oom_kill 123".
[[nodiscard]] std::optional<std::uint64_t>
kernel_number(std::string_view text, std::string_view name);

} // namespace rbee::process
