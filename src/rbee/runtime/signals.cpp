#include "rbee/runtime/signals.hpp"

#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace rbee::runtime {

namespace asio = boost::asio;

asio::awaitable<int> wait_signal(std::vector<int> signals) {
    const auto executor = co_await asio::this_coro::executor;
    asio::signal_set set(executor);
    for (const int signal : signals) {
        set.add(signal);
    }
    const int signal = co_await set.async_wait(asio::use_awaitable);
    co_return signal;
}

} // namespace rbee::runtime
