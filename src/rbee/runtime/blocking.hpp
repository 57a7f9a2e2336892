#pragma once

#include "rbee/base/assert.hpp"
#include "rbee/base/result.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace rbee::runtime {

template <typename T>
inline constexpr bool is_result = false;
template <typename T>
inline constexpr bool is_result<Result<T>> = true;

/// Threads for work that blocks (files, hashing, databases), so that the event loop does not.
/// run() belongs to event loops; the loops must outlive the pool.
class BlockingPool {
public:
    /// `name` shows in debuggers (15 characters). `queue_max` bounds the jobs that wait; it applies
    /// to jobs that return a Result.
    BlockingPool(
        std::size_t threads,
        const std::string& name,
        std::size_t queue_max = std::numeric_limits<std::size_t>::max()
    );
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;
    /// Finishes the queued jobs, then ends the threads.
    ~BlockingPool();

    /// Runs `work` on a thread of the pool and resumes on the caller's executor with what it
    /// returned; what it throws is thrown there. A job once queued is not cancelled. Work that
    /// returns a Result gets Errc::busy, without running, when the queue is full.
    template <typename F>
    [[nodiscard]] boost::asio::awaitable<std::invoke_result_t<F&>> run(F work);

    [[nodiscard]] std::size_t queued() const;

private:
    using Job = std::move_only_function<void()>;
    [[nodiscard]] bool full() const;
    void submit(Job job);
    void serve();

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> queue_;
    std::size_t queue_max_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

namespace detail {

/// What a job gave: a value (monostate for none) or an exception.
template <typename R>
struct Outcome {
    using Value = std::conditional_t<std::is_void_v<R>, std::monostate, R>;
    std::optional<Value> value;
    std::exception_ptr failure;
};

template <typename R, typename F>
Outcome<R> outcome_of(F& work) {
    Outcome<R> outcome;
    try {
        if constexpr (std::is_void_v<R>) {
            work();
            outcome.value.emplace();
        } else {
            outcome.value.emplace(work());
        }
    } catch (...) {
        outcome.failure = std::current_exception();
    }
    return outcome;
}

} // namespace detail

template <typename F>
boost::asio::awaitable<std::invoke_result_t<F&>> BlockingPool::run(F work) {
    namespace asio = boost::asio;
    using R = std::invoke_result_t<F&>;
    using Outcome = detail::Outcome<R>;
    const auto executor = co_await asio::this_coro::executor;
    if constexpr (is_result<R>) {
        if (full()) {
            co_return fail(Errc::busy, "too much work is waiting for a thread");
        }
    }
    // Tracked, or the loop could end while the job is on the other thread.
    auto loop = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    auto initiate = [this, loop, &work](auto handler) {
        submit([loop, job = std::move(work), handler = std::move(handler)]() mutable {
            Outcome outcome = detail::outcome_of<R>(job);
            asio::post(
                loop,
                [handler = std::move(handler), outcome = std::move(outcome)]() mutable {
                    std::move(handler)(std::move(outcome));
                }
            );
        });
    };
    Outcome outcome = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Outcome)>(
        std::move(initiate), asio::use_awaitable
    );
    if (outcome.failure) {
        std::rethrow_exception(outcome.failure);
    }
    if constexpr (!std::is_void_v<R>) {
        RBEE_ASSERT(outcome.value.has_value());
        co_return std::move(*outcome.value);
    }
}

} // namespace rbee::runtime
