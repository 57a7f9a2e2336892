#include "rbee/runtime/timers.hpp"

#include "rbee/runtime/quiet.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

namespace rbee::runtime {

namespace asio = boost::asio;

asio::awaitable<void> Timers::sleep_until(TimePoint due) {
    asio::steady_timer timer(executor());
    const std::shared_ptr<void> armed = arm(timer, due);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
}

asio::awaitable<void> Timers::sleep_for(Duration duration) {
    co_await sleep_until(clock().now() + duration);
}

std::shared_ptr<void> SystemTimers::arm(asio::steady_timer& timer, TimePoint due) {
    timer.expires_at(due);
    return nullptr;
}

struct Notifier::Waiter {
    asio::steady_timer timer;
    bool notified = false;
};

/// A waiter's place in the queue, given up on every way out of the wait.
class Notifier::Place {
public:
    Place(std::shared_ptr<Waiters> waiters, Waiter& waiter)
        : waiters_(std::move(waiters)), at_(waiters_->insert(waiters_->end(), &waiter)),
          waiter_(waiter) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
        if (!waiter_.notified) {
            waiters_->erase(at_);
        }
    }
    [[nodiscard]] Waiters& waiters() { return *waiters_; }

private:
    std::shared_ptr<Waiters> waiters_;
    Waiters::iterator at_;
    Waiter& waiter_;
};

asio::awaitable<bool> Notifier::wait_until(TimePoint due) {
    Waiter waiter{asio::steady_timer(timers_.executor())};
    const std::shared_ptr<void> armed = timers_.arm(waiter.timer, due);
    Place place(waiters_, waiter);
    co_await waiter.timer.async_wait(asio::as_tuple(asio::use_awaitable));
    // from here on `this` may be gone
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
        if (waiter.notified) {
            notify_one(place.waiters());
        }
        throw boost::system::system_error(asio::error::operation_aborted);
    }
    co_return waiter.notified;
}

asio::awaitable<void> Notifier::wait() {
    const bool notified = co_await wait_until(TimePoint::max());
    (void)notified; // the end of time does not come
}

void Notifier::notify_one(Waiters& waiters) {
    if (waiters.empty()) {
        return;
    }
    Waiter& first = *waiters.front();
    waiters.pop_front();
    first.notified = true;
    cancel_quietly(first.timer);
}

void Notifier::notify_all() {
    while (!waiters_->empty()) {
        notify_one(*waiters_);
    }
}

} // namespace rbee::runtime
