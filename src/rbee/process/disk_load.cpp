#include "rbee/process/disk_load.hpp"

#include "rbee/base/text.hpp"
#include "rbee/process/kernel_file.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <sstream>
#include <string_view>
#include <vector>

namespace rbee::process {

std::optional<std::uint64_t> disk_busy_ms(const std::string& path, const std::string& root) {
    struct stat file{};
    const auto text = read_kernel_file(root + "/proc/diskstats");
    if (!text || ::stat(path.c_str(), &file) != 0) {
        return std::nullopt;
    }
    for (const std::string_view line : split(*text, '\n')) {
        std::istringstream fields{std::string(line)}; // columns are padded with blanks
        std::uint64_t major_number = 0;
        std::uint64_t minor_number = 0;
        std::string name;
        fields >> major_number >> minor_number >> name;
        if (!fields || major_number != major(file.st_dev) || minor_number != minor(file.st_dev)) {
            continue;
        }
        std::uint64_t value = 0;
        constexpr int busy_field = 10; // the tenth behind the name
        for (int i = 0; i < busy_field; ++i) {
            fields >> value;
        }
        return fields ? std::optional(value) : std::nullopt;
    }
    return std::nullopt;
}

} // namespace rbee::process
