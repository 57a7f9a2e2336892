#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/recent_sources.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rbee {

/// The part of a peer's address that counts as one source: an IPv4 address, the /64 of an IPv6 one;
/// other texts ("unix") as they are. Takes "127.0.0.1:4711", "[::1]:4711" and both without port.
/// IPv4 in IPv6 is IPv4.
[[nodiscard]] std::string source_of(std::string_view peer);

/// A token bucket for each source. At most `sources_max` are remembered; the one that was silent
/// for longest is forgotten first. Not thread-safe.
class SourceLimiter {
public:
    struct Options {
        double burst = 200;
        double per_second = 20;
        std::size_t sources_max = 16384;
    };

    explicit SourceLimiter(Options options) : options_(options), buckets_(options.sources_max) {}

    /// Takes one from the bucket of `source`. Nothing when there was one, else how long until the
    /// next is there. What is refused costs nothing.
    [[nodiscard]] std::optional<Duration> take(const std::string& source, TimePoint now);
    [[nodiscard]] std::size_t sources() const { return buckets_.size(); }

private:
    struct Bucket {
        double left = 0;
        TimePoint at;
    };
    Options options_;
    RecentSources<Bucket> buckets_;
};

} // namespace rbee
