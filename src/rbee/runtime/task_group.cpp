#include "rbee/runtime/task_group.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <unordered_set>
#include <utility>
#include <vector>

namespace rbee::runtime {

namespace asio = boost::asio;

/// Outlives the group where a task does, so that a late end finds something to report to.
struct TaskGroup::State {
    State(asio::any_io_executor on, Report to) : executor(std::move(on)), report(std::move(to)) {}

    asio::any_io_executor executor;
    Report report;
    /// Timers of join() calls, cancelled when the last task leaves. They live in the coroutines, so
    /// that the group may go after its loop.
    std::unordered_set<asio::steady_timer*> joiners;
    std::unordered_set<std::shared_ptr<Entry>> entries;
    bool stopping = false;
};

struct TaskGroup::Entry {
    std::string name;
    asio::cancellation_signal signal;
    bool cancelled = false;
};

namespace {

bool is_cancellation(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
        return error.code() == asio::error::operation_aborted;
    } catch (...) {
        return false;
    }
}

/// Takes the entry out however the task ends, also when its loop is destroyed under it.
template <typename State, typename Entry>
class Leave {
public:
    Leave(std::shared_ptr<State> state, std::shared_ptr<Entry> entry)
        : state_(std::move(state)), entry_(std::move(entry)) {}
    Leave(Leave&&) noexcept = default;
    Leave& operator=(Leave&&) = delete;
    Leave(const Leave&) = delete;
    Leave& operator=(const Leave&) = delete;

    ~Leave() {
        if (state_) {
            state_->entries.erase(entry_);
        }
    }

    void operator()(std::exception_ptr failure) {
        const std::shared_ptr<State> state = std::move(state_);
        state->entries.erase(entry_);
        if (failure && state->report && !(entry_->cancelled && is_cancellation(failure))) {
            state->report(entry_->name, std::move(failure));
        }
        if (state->entries.empty()) {
            for (asio::steady_timer* joiner : state->joiners) {
                joiner->cancel();
            }
        }
    }

private:
    std::shared_ptr<State> state_;
    std::shared_ptr<Entry> entry_;
};

} // namespace

TaskGroup::TaskGroup(asio::any_io_executor executor, Report report)
    : state_(std::make_shared<State>(std::move(executor), std::move(report))) {}

TaskGroup::~TaskGroup() {
    if (!state_->entries.empty()) {
        const auto* loop = state_->executor.target<asio::io_context::executor_type>();
        RBEE_ASSERT(loop != nullptr && loop->context().stopped());
    }
    state_->report = nullptr;
}

bool TaskGroup::start(asio::awaitable<void> task, std::string name) {
    if (state_->stopping) {
        return false;
    }
    auto entry = std::make_shared<Entry>();
    entry->name = std::move(name);
    state_->entries.insert(entry);
    asio::co_spawn(
        state_->executor,
        std::move(task),
        asio::bind_cancellation_slot(entry->signal.slot(), Leave(state_, entry))
    );
    return true;
}

void TaskGroup::cancel() {
    state_->stopping = true;
    const std::vector<std::shared_ptr<Entry>> entries(
        state_->entries.begin(), state_->entries.end()
    );
    for (const auto& entry : entries) {
        entry->cancelled = true;
        entry->signal.emit(asio::cancellation_type::terminal);
    }
}

asio::awaitable<void> TaskGroup::join() {
    const std::shared_ptr<State> state = state_;
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    asio::steady_timer empty(state->executor, TimePoint::max());
    state->joiners.insert(&empty);
    while (!state->entries.empty()) {
        co_await empty.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    state->joiners.erase(&empty
    ); // a frame destroyed before this goes with its loop: nobody cancels
    co_await asio::this_coro::throw_if_cancelled(throws);
}

asio::awaitable<void> TaskGroup::stop() {
    cancel();
    co_await join();
}

std::size_t TaskGroup::count() const {
    return state_->entries.size();
}

} // namespace rbee::runtime
