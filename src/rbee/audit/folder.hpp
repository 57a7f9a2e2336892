#pragma once

#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace rbee::audit {

/// What a file operation gives, or why the operating system refused it.
template <typename T>
using Io = std::expected<T, std::errc>;

/// For an operation whose failure changes nothing that is promised.
inline void best_effort(const Io<void>& /*outcome*/) {}

/// For people: "No space left on device".
[[nodiscard]] std::string describe(std::errc error);

/// The folder of one service's log with what can be done to its files: the only way to the disk for
/// all that writes, so that tests can let it fail. Names are those of files in it. Thread-safe as
/// far as the files are different ones.
class Folder {
public:
    struct File {
        std::string name;
        std::uint64_t bytes = 0;
    };
    struct Space {
        std::uint64_t free_bytes = 0; ///< For us, not for root.
        std::uint64_t total_bytes = 0;
    };

    virtual ~Folder() = default;
    /// Makes a file that must not exist, 0600, for appending.
    [[nodiscard]] virtual Io<UniqueFd> create(const std::string& name) = 0;
    [[nodiscard]] virtual Io<UniqueFd> open_append(const std::string& name) = 0;
    /// For overwrite(); made, 0600, when it does not exist.
    [[nodiscard]] virtual Io<UniqueFd> open_update(const std::string& name) = 0;
    /// Appends; may write less than all, never nothing.
    [[nodiscard]] virtual Io<std::size_t> write(int fd, std::string_view data) = 0;
    /// All of `data` at the beginning of the file.
    [[nodiscard]] virtual Io<void> overwrite(int fd, std::string_view data) = 0;
    /// fdatasync. After a failure the descriptor must not be used again: the kernel may have
    /// forgotten what it could not write, and a second call would succeed.
    [[nodiscard]] virtual Io<void> sync(int fd) = 0;
    /// Cuts the file, by a descriptor of its own, and makes that durable.
    [[nodiscard]] virtual Io<void> truncate(const std::string& name, std::uint64_t bytes) = 0;
    [[nodiscard]] virtual Io<void> rename(const std::string& from, const std::string& to) = 0;
    [[nodiscard]] virtual Io<void> remove(const std::string& name) = 0;
    /// Makes it 0400.
    [[nodiscard]] virtual Io<void> seal(const std::string& name) = 0;
    /// Makes names durable: after create(), rename() and remove().
    [[nodiscard]] virtual Io<void> sync_names() = 0;
    /// A file that does nothing but take `bytes` of the disk.
    [[nodiscard]] virtual Io<void> reserve(const std::string& name, std::uint64_t bytes) = 0;
    [[nodiscard]] virtual Io<std::vector<File>> list() = 0;
    [[nodiscard]] virtual Io<std::string> read(const std::string& name) = 0;
    [[nodiscard]] virtual Io<Space> space() = 0;
};

/// Opens the folder at `path`, made 0700 with its parents when it is not there, for one writer.
/// Errc::conflict: another process writes to it. Errc::forbidden: it belongs to somebody else or
/// others may write to it.
[[nodiscard]] Result<std::unique_ptr<Folder>> open_folder(const std::string& path);

/// True while some process has the folder open by open_folder().
[[nodiscard]] bool has_writer(const std::string& path);

} // namespace rbee::audit
