#include "rbee/runtime/signals.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace rbee::runtime {

namespace asio = boost::asio;

asio::awaitable<int> wait_signal(std::vector<int> signals) {
    Signals set(co_await asio::this_coro::executor, signals);
    const int signal = co_await set.next();
    co_return signal;
}

Signals::Signals(const asio::any_io_executor& executor, const std::vector<int>& signals)
    : set_(executor) {
    for (const int signal : signals) {
        set_.add(signal);
    }
}

asio::awaitable<int> Signals::next() {
    const int signal = co_await set_.async_wait(asio::use_awaitable);
    co_return signal;
}

} // namespace rbee::runtime
