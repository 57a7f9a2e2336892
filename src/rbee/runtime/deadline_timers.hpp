#pragma once

#include "rbee/base/boot_clock.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace rbee::runtime {

/// Calls back at moments of the boot clock, which goes on while the machine sleeps; asio's own
/// timers do not. One timerfd (CLOCK_BOOTTIME) serves all entries of a loop and is set only when
/// the earliest one changes, so a request whose deadline is later than another's costs no system
/// call. Belongs to one event loop; must outlive its entries.
class DeadlineTimers {
    using Key = std::pair<BootTime, std::uint64_t>;

public:
    /// Keeps a callback due for as long as it lives.
    class [[nodiscard]] Entry {
    public:
        Entry() = default;
        Entry(Entry&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)) {}
        Entry& operator=(Entry&& other) noexcept;
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        ~Entry() { reset(); }
        void reset();

    private:
        friend class DeadlineTimers;
        Entry(DeadlineTimers& owner, Key key) : owner_(&owner), key_(key) {}
        DeadlineTimers* owner_ = nullptr;
        Key key_;
    };

    /// Throws boost::system::system_error when the system has no descriptor left.
    explicit DeadlineTimers(const boost::asio::any_io_executor& executor);
    DeadlineTimers(const DeadlineTimers&) = delete;
    DeadlineTimers& operator=(const DeadlineTimers&) = delete;
    ~DeadlineTimers() = default;

    /// Calls `fired` once, from the loop, when `due` has come; on the next turn when it has passed.
    Entry at(BootTime due, std::function<void()> fired);

    /// Entries that have not fired: zero when nothing is in progress.
    [[nodiscard]] std::size_t size() const { return entries_.size(); }
    /// No callback comes any more, and the loop is not kept running.
    void stop();

private:
    void arm();
    void wait();
    void fire();

    boost::asio::posix::stream_descriptor timer_;
    std::map<Key, std::function<void()>> entries_;
    std::uint64_t last_id_ = 0;
    BootTime armed_ = BootTime::max();
    bool waiting_ = false;
};

} // namespace rbee::runtime
