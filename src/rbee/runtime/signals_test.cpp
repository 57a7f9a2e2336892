#include "rbee/runtime/signals.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <vector>

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

boost::asio::awaitable<void> keep_two(Signals& signals, std::vector<int>& seen) {
    seen.push_back(co_await signals.next());
    // Raised while nobody waits: with the default effect this would end the program.
    std::raise(SIGHUP);
    seen.push_back(co_await signals.next());
}

TEST(Signals, NoneIsLostBetweenTwoWaits) {
    boost::asio::io_context loop;
    Signals signals(loop.get_executor(), {SIGHUP, SIGUSR1});
    std::vector<int> seen;
    boost::asio::co_spawn(loop, keep_two(signals, seen), boost::asio::detached);
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    loop.run_for(std::chrono::seconds(5));
    EXPECT_EQ(seen, (std::vector<int>{SIGUSR1, SIGHUP}));
}

} // namespace
} // namespace rbee::runtime
