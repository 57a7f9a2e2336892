#pragma once

#include "rbee/base/clock.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <functional>

namespace rbee::http {

/// Ends I/O that makes no progress. One coarse tick serves all connections of a loop, so arming a
/// limit costs an assignment and no timer system calls. Belongs to one event loop; must outlive its
/// entries.
class Reaper {
public:
    /// How late an expiry may be noticed.
    static constexpr Duration tick = std::chrono::milliseconds(100);

    /// One limit. `on_expired` is called on the loop, once for each arm().
    class Entry {
    public:
        Entry(Reaper& reaper, std::function<void()> on_expired);
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        ~Entry();

        void arm(Duration limit);
        void disarm() { due_ = TimePoint::max(); }
        /// True from expiry until the next arm().
        [[nodiscard]] bool expired() const { return expired_; }

    private:
        friend class Reaper;
        Reaper& reaper_;
        std::function<void()> on_expired_;
        TimePoint due_ = TimePoint::max();
        bool expired_ = false;
        Entry* previous_ = nullptr;
        Entry* next_ = nullptr;
    };

    explicit Reaper(const boost::asio::any_io_executor& executor);
    Reaper(const Reaper&) = delete;
    Reaper& operator=(const Reaper&) = delete;
    ~Reaper();

    void stop();

private:
    void schedule();
    void sweep();

    boost::asio::steady_timer timer_;
    Entry* first_ = nullptr;
    Entry* cursor_ = nullptr; ///< Next entry of the running sweep; moved on when that one goes.
    bool stopped_ = false;
    bool ticking_ = false;
};

} // namespace rbee::http
