#pragma once

#include "rbee/base/clock.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <list>
#include <memory>

namespace rbee::runtime {

/// Waiting for time to pass, so that tests can make it pass. Belongs to one event loop; must
/// outlive the waits. A cancelled wait throws boost::system::system_error(operation_aborted).
class Timers {
public:
    Timers() = default;
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;
    virtual ~Timers() = default;

    [[nodiscard]] virtual const Clock& clock() const = 0;
    [[nodiscard]] virtual boost::asio::any_io_executor executor() const = 0;

    /// Returns at `due`; a time in the past gives other work one turn. TimePoint::max() never
    /// comes.
    [[nodiscard]] boost::asio::awaitable<void> sleep_until(TimePoint due);
    [[nodiscard]] boost::asio::awaitable<void> sleep_for(Duration duration);

    /// For building other waits: lets `timer` end at `due`, whether by expiry or by its cancel().
    /// Keep the returned handle until the wait is over.
    [[nodiscard]] virtual std::shared_ptr<void>
    arm(boost::asio::steady_timer& timer, TimePoint due) = 0;
};

/// Time of the operating system.
class SystemTimers final : public Timers {
public:
    explicit SystemTimers(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

    [[nodiscard]] const Clock& clock() const override { return clock_; }
    [[nodiscard]] boost::asio::any_io_executor executor() const override { return executor_; }
    [[nodiscard]] std::shared_ptr<void>
    arm(boost::asio::steady_timer& timer, TimePoint due) override;

private:
    boost::asio::any_io_executor executor_;
    SystemClock clock_;
};

/// A condition that coroutines of one event loop wait for. A notification is not remembered: look
/// at the state first, then wait; on one loop nothing can slip in between.
///
///     while (queue_.empty()) {
///         const bool notified = co_await changed_.wait_until(deadline);
///         if (!notified) { co_return fail(Errc::timeout, "..."); }
///     }
class Notifier {
public:
    explicit Notifier(Timers& timers) : timers_(timers), waiters_(std::make_shared<Waiters>()) {}
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;
    ~Notifier() { notify_all(); }

    /// True when notified, false at `due`. Throws system_error(operation_aborted) when cancelled; a
    /// notify_one() that came at the same moment then goes to the next waiter.
    [[nodiscard]] boost::asio::awaitable<bool> wait_until(TimePoint due);
    /// Waits without a limit.
    [[nodiscard]] boost::asio::awaitable<void> wait();

    /// Wakes the one that has waited longest, if any.
    void notify_one() { notify_one(*waiters_); }
    void notify_all();
    [[nodiscard]] std::size_t waiting() const { return waiters_->size(); }

private:
    struct Waiter;
    class Place;
    /// Those not yet notified, in the order of arrival.
    using Waiters = std::list<Waiter*>;
    static void notify_one(Waiters& waiters);

    Timers& timers_;
    std::shared_ptr<Waiters> waiters_;
};

} // namespace rbee::runtime
