#include "rbee/hive/resources.hpp"

#include "rbee/process/resources.hpp"

namespace rbee::hive {

Resources read_resources(const std::string& directory) {
    Resources out;
    if (const auto memory = process::memory()) {
        out.ram_total = memory->total_bytes;
        out.ram_available = memory->available_bytes;
    }
    if (const auto disk = process::disk(directory)) {
        out.disk_total = disk->total_bytes;
        out.disk_available = disk->available_bytes;
    }
    return out;
}

} // namespace rbee::hive
