#pragma once

#include "rbee/base/activity.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/unique_fd.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::process {

/// The most bytes of an owner's name and of a fatal error that a page keeps.
inline constexpr std::size_t pulse_owner_max = 63;
inline constexpr std::size_t pulse_fatal_max = 2000;

/// What a page says at one moment.
struct Pulse {
    bool held = false; ///< A process has taken the page and lives.
    bool died = false; ///< The kernel has begun to take that process down.
    std::uint64_t steps = 0;
    std::uint32_t busy = 0;
    Duration patience{};           ///< See Activity::patience_ms.
    std::uint64_t beats = 0;       ///< Of the worker's event loop.
    std::optional<int> exit_code;  ///< The process was on its way out with this code.
    std::string fatal;             ///< What it gave as the cause of its end; may be cut.
    std::optional<int> fatal_code; ///< Exit code that goes with `fatal`.
};

/// One page of memory that a process and the one that watches it share. It tells of death before
/// the kernel has freed the dying process's memory, which for gigabytes takes a second, and of
/// progress. The process that it watches writes, this side only reads and believes nothing.
/// The mapping lives as long as this object, also when the other process has gone. Thread-safe.
class PulsePage {
public:
    /// A new page, sealed in its size, for the process known as `owner` (a worker's id). Hand fd()
    /// over in Command::inherit. Errc::resources when there is no memory or descriptor.
    [[nodiscard]] static Result<PulsePage> make(std::string_view owner);

    /// The page of a process that runs already and has it at its descriptor `fd`, as a new parent
    /// needs it. Errc::not_found when there is no such process or descriptor, Errc::forbidden when
    /// it may not be looked at, Errc::corrupt when it is no page or not the one of `owner`.
    [[nodiscard]] static Result<PulsePage> of_process(pid_t pid, int fd, std::string_view owner);

    PulsePage(PulsePage&& other) noexcept;
    PulsePage& operator=(PulsePage&& other) noexcept;
    PulsePage(const PulsePage&) = delete;
    PulsePage& operator=(const PulsePage&) = delete;
    ~PulsePage();

    /// What to hand over; -1 after close_fd().
    [[nodiscard]] int fd() const { return fd_.get(); }
    /// After the spawn; this side reads through its mapping.
    void close_fd() { fd_.reset(); }

    [[nodiscard]] Pulse read() const;

    /// Where the robust lock's word lies, to wait for its change; never to be written.
    [[nodiscard]] std::uint32_t* lock_address() const;
    /// That word now.
    [[nodiscard]] std::uint32_t lock_word() const;

private:
    PulsePage(UniqueFd fd, void* memory) : fd_(std::move(fd)), memory_(memory) {}
    UniqueFd fd_;
    void* memory_ = nullptr;
};

/// True when the kernel has marked a lock word: its holder is being taken down.
[[nodiscard]] bool holder_died(std::uint32_t lock_word);

/// The side of the process that is watched. It never lets go: the page and its lock end with the
/// process.
class PulseHolder {
public:
    /// Takes the page at descriptor `fd` (close-on-exec from now on) and locks it in the calling
    /// thread, which must be the main one: its end is what the watcher is told. Errc::corrupt when
    /// it is no page, Errc::conflict when somebody holds it.
    [[nodiscard]] static Result<PulseHolder> take(int fd);

    /// For the inference loop; lives as long as the process.
    [[nodiscard]] Activity& activity() const;
    /// The event loop has gone round. Thread-safe.
    void beat() const;
    /// Leaves the cause of the coming end for the post-mortem; the first one counts. Thread-safe.
    void fatal(std::string_view text, int exit_code) const;
    /// The process ends in order with this code. For watchers that cannot ask the kernel, because
    /// they are not its parent. Thread-safe.
    void leaving(int exit_code) const;

private:
    explicit PulseHolder(void* memory) : memory_(memory) {}
    void* memory_;
};

} // namespace rbee::process
