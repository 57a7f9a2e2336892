#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/recent_sources.hpp"

#include <cstddef>
#include <string>

namespace rbee::api {

/// Counts the requests of each client that failed validation. Who sends more than `per_window` bad
/// ones within a window, which begins with the first, is told to slow down (behaviour.md 10.2);
/// good requests are not counted and never refused. At most `sources_max` clients are remembered,
/// the one that was silent for longest is forgotten first. Not thread-safe.
class ValidationLimiter {
public:
    struct Options {
        std::size_t per_window = 50; ///< 0: no limit.
        Duration window = std::chrono::seconds(1);
        std::size_t sources_max = 16384;
    };

    explicit ValidationLimiter(Options options)
        : options_(options), clients_(options.sources_max) {}

    /// Counts one bad request of `source`; true while there were not too many.
    [[nodiscard]] bool count(const std::string& source, TimePoint now);
    [[nodiscard]] std::size_t sources() const { return clients_.size(); }

private:
    struct Client {
        TimePoint begun;
        std::size_t failures = 0;
    };
    Options options_;
    RecentSources<Client> clients_;
};

} // namespace rbee::api
