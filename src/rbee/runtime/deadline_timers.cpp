#include "rbee/runtime/deadline_timers.hpp"

#include <boost/system/system_error.hpp>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <tuple>

namespace rbee::runtime {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

int make_timer() {
    const int fd = ::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) {
        throw boost::system::system_error(errno, boost::system::system_category(), "timerfd");
    }
    return fd;
}

timespec to_timespec(BootTime time) {
    // All zero would switch the timer off.
    const auto since = std::max(time.time_since_epoch(), BootClock::duration(1));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    return {.tv_sec = seconds.count(), .tv_nsec = (since - seconds).count()};
}

} // namespace

DeadlineTimers::Entry& DeadlineTimers::Entry::operator=(Entry&& other) noexcept {
    if (this != &other) {
        reset();
        owner_ = std::exchange(other.owner_, nullptr);
        key_ = other.key_;
    }
    return *this;
}

void DeadlineTimers::Entry::reset() {
    if (DeadlineTimers* const owner = std::exchange(owner_, nullptr)) {
        owner->entries_.erase(key_);
    }
}

DeadlineTimers::DeadlineTimers(const asio::any_io_executor& executor)
    : timer_(executor, make_timer()) {}

DeadlineTimers::Entry DeadlineTimers::at(BootTime due, std::function<void()> fired) {
    const Key key{due, ++last_id_};
    entries_.emplace(key, std::move(fired));
    arm();
    wait();
    return {*this, key};
}

void DeadlineTimers::arm() {
    // An entry that went away leaves the timer as it is: it then rings for nothing, once.
    if (entries_.empty() || entries_.begin()->first.first >= armed_) {
        return;
    }
    armed_ = entries_.begin()->first.first;
    itimerspec when{};
    when.it_value = to_timespec(armed_);
    // Fails only for a bad descriptor or time, and these are ours.
    (void)::timerfd_settime(timer_.native_handle(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void DeadlineTimers::wait() {
    if (waiting_ || !timer_.is_open()) {
        return;
    }
    waiting_ = true;
    timer_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const error_code& error) {
        if (error) {
            return; // stopped, and `this` may be gone
        }
        waiting_ = false;
        fire();
        if (!entries_.empty()) {
            wait();
        }
    });
}

void DeadlineTimers::fire() {
    std::uint64_t rings = 0;
    (void)::read(timer_.native_handle(), &rings, sizeof rings); // only takes the readiness away
    armed_ = BootTime::max();
    const BootTime now = BootClock::now();
    while (!entries_.empty() && entries_.begin()->first.first <= now) {
        // A callback may add and remove entries, this one's owner included.
        const auto fired = std::move(entries_.begin()->second);
        entries_.erase(entries_.begin());
        fired();
    }
    arm();
}

void DeadlineTimers::stop() {
    entries_.clear();
    error_code closed;
    std::ignore = timer_.close(closed); // nothing to do about a failing close
}

} // namespace rbee::runtime
