#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>

namespace rbee::http {

/// Where a connection comes from, as far as limits go: an IPv4 address (also when mapped into
/// IPv6), or the /64 of an IPv6 address, which one household can fill. Unix sockets have none.
class Source {
public:
    Source() = default;
    explicit Source(const sockaddr_storage& peer);
    [[nodiscard]] bool known() const { return known_; }
    auto operator<=>(const Source&) const = default;

private:
    bool known_ = false;
    std::array<std::uint8_t, 8> prefix_{};
    bool v4_ = false;
};

/// Counts the open connections of each source. Belongs to one event loop.
class SourceCounter {
public:
    /// `limit` connections for each source; 0 is no limit.
    explicit SourceCounter(std::size_t limit) : limit_(limit) {}
    /// False when the source has its limit already; else leave() must follow.
    [[nodiscard]] bool enter(const Source& source);
    void leave(const Source& source);
    /// For connections to come.
    void set_limit(std::size_t limit) { limit_ = limit; }

private:
    std::size_t limit_;
    std::map<Source, std::size_t> open_;
};

/// The memory that request bodies of all connections may take together. Belongs to one event loop.
class ByteBudget {
public:
    explicit ByteBudget(std::uint64_t bytes_max) : max_(bytes_max) {}
    ByteBudget(const ByteBudget&) = delete;
    ByteBudget& operator=(const ByteBudget&) = delete;

    /// What one holder has taken; given back when it goes. The budget must outlive it.
    class Share {
    public:
        explicit Share(ByteBudget& budget) : budget_(budget) {}
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() { budget_.taken_ -= taken_; }
        /// False, with nothing taken, when that much is not left.
        [[nodiscard]] bool take(std::uint64_t bytes);

    private:
        ByteBudget& budget_;
        std::uint64_t taken_ = 0;
    };

    /// Another size. What is taken stays taken, even where it is more than that.
    void resize(std::uint64_t bytes_max) { max_ = bytes_max; }

private:
    std::uint64_t max_;
    std::uint64_t taken_ = 0;
};

} // namespace rbee::http
