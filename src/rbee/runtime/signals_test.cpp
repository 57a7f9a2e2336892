#include "rbee/runtime/signals.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <csignal>

namespace rbee::runtime {
namespace {

boost::asio::awaitable<void> keep_signal(int& seen) {
    seen = co_await wait_signal({SIGUSR1, SIGUSR2});
}

TEST(Signals, ReturnsTheOneThatCame) {
    boost::asio::io_context loop;
    int seen = 0;
    boost::asio::co_spawn(loop, keep_signal(seen), boost::asio::detached);
    loop.poll();
    EXPECT_EQ(seen, 0);
    ASSERT_EQ(std::raise(SIGUSR2), 0);
    loop.run();
    EXPECT_EQ(seen, SIGUSR2);
}

} // namespace
} // namespace rbee::runtime
