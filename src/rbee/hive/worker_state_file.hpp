#pragma once

#include "rbee/api/types.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/hive/model_provider.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::hive {

/// One worker as the next hive needs it: by what it was started, how to reach it and how to know
/// its process again.
struct SlotRecord {
    api::WorkerInfo info; ///< Of what changes all the time only a part is kept, see encode_slots().
    Model model;
    std::vector<std::string> engine_args;
    std::vector<unsigned> cpus;
    std::uint64_t start_ticks = 0; ///< Of its process; 0 while it has none.
    Secret token;                  ///< Empty while it has no process.
};

/// The JSON text of all workers. The same workers give the same text, whatever requests they serve.
[[nodiscard]] Secret encode_slots(const std::vector<SlotRecord>& slots, std::string_view boot_id);

/// Reads such a text; workers of another start of the machine are left out. Errc::corrupt when it
/// is no such text.
[[nodiscard]] Result<std::vector<SlotRecord>>
decode_slots(std::string_view text, std::string_view boot_id);

/// The file `workers.json` in the hive's state directory. While this object lives, no other hive
/// can have the same directory. The methods block.
class WorkerStateFile {
public:
    /// Makes the directory if it is not there. Errc::conflict when another hive has it, Errc::io.
    [[nodiscard]] static Result<WorkerStateFile> open(const std::string& directory);

    /// An empty list when there is no file. Errc::corrupt, Errc::forbidden (rights) or Errc::io.
    [[nodiscard]] Result<std::vector<SlotRecord>> read(std::string_view boot_id) const;
    /// On disk when this returns, in one step: a crash leaves the old text or the new one.
    [[nodiscard]] Result<void> write(const Secret& text) const;

private:
    WorkerStateFile(std::string path, UniqueFd lock)
        : path_(std::move(path)), lock_(std::move(lock)) {}
    std::string path_;
    UniqueFd lock_;
};

} // namespace rbee::hive
