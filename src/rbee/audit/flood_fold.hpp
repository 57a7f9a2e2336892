#pragma once

#include "rbee/base/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace rbee::audit {

/// Keeps floods of one source out of the log, which must not be a weapon to fill the disk: what is
/// beyond the limit of a window is counted and told once. Pure; not thread-safe.
class FloodFold {
public:
    struct Options {
        std::uint32_t per_window = 100;
        Duration window = std::chrono::seconds(1);
        /// Sources that are told apart in one window; all others count as one.
        std::size_t sources_max = 4096;
    };
    /// What was left out of one source and type in one window.
    struct Folded {
        std::string type;
        std::string source; ///< "others" beyond sources_max.
        std::uint64_t count = 0;
        WallTime first;
        WallTime last;
    };

    explicit FloodFold(Options options) : options_(options) {}

    /// True when the event is to be recorded; else it was counted.
    [[nodiscard]] bool
    admit(const std::string& type, const std::string& source, TimePoint now, WallTime wall);
    /// The windows that are over and in which something was counted.
    [[nodiscard]] std::vector<Folded> take(TimePoint now);
    /// Something is counted that take() has not given out yet.
    [[nodiscard]] bool pending() const { return folded_ > 0; }

private:
    struct Window {
        TimePoint begin;
        std::uint32_t admitted = 0;
        Folded folded;
    };
    Options options_;
    std::unordered_map<std::string, Window> windows_;
    std::vector<Folded> over_;
    std::size_t folded_ = 0; ///< Windows and entries of over_ that have a count.
};

} // namespace rbee::audit
