#include "rbee/runtime/blocking.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace rbee::runtime {
namespace {

namespace asio = boost::asio;

class BlockingTest : public testing::Test {
protected:
    void run(asio::awaitable<void> task) {
        asio::co_spawn(loop_, std::move(task), asio::detached);
        loop_.run();
    }
    asio::io_context loop_;
    BlockingPool pool_{2, "test"};
};

asio::awaitable<void> where(BlockingPool& pool, std::vector<std::thread::id>& seen) {
    seen.push_back(co_await pool.run([] { return std::this_thread::get_id(); }));
    seen.push_back(std::this_thread::get_id());
}

TEST_F(BlockingTest, RunsElsewhereAndResumesHere) {
    std::vector<std::thread::id> seen;
    run(where(pool_, seen));
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_NE(seen[0], std::this_thread::get_id());
    EXPECT_EQ(seen[1], std::this_thread::get_id());
}

asio::awaitable<void> catch_failure(BlockingPool& pool, std::string& what) {
    try {
        co_await pool.run([] { throw std::runtime_error("disk"); });
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
}

TEST_F(BlockingTest, ThrowsWhereItIsAwaited) {
    std::string what;
    run(catch_failure(pool_, what));
    EXPECT_EQ(what, "disk");
}

asio::awaitable<void> move_only(BlockingPool& pool, std::unique_ptr<int>& out) {
    auto in = std::make_unique<int>(42);
    out = co_await pool.run([in = std::move(in)]() mutable { return std::move(in); });
}

TEST_F(BlockingTest, TakesAndReturnsWhatCannotBeCopied) {
    std::unique_ptr<int> out;
    run(move_only(pool_, out));
    ASSERT_NE(out, nullptr);
    EXPECT_EQ(*out, 42);
}

asio::awaitable<void>
add(BlockingPool& pool, std::shared_future<void> gate, std::vector<Errc>& out) {
    const Result<int> sum = co_await pool.run([gate]() -> Result<int> {
        gate.wait();
        return 1;
    });
    out.push_back(sum ? Errc::internal : sum.error().code);
}

TEST(BlockingPool, AFullQueueIsBusy) {
    asio::io_context loop;
    BlockingPool pool(1, "test", 2);
    std::promise<void> gate;
    const std::shared_future<void> opened = gate.get_future().share();
    std::vector<Errc> out;
    asio::co_spawn(loop, add(pool, opened, out), asio::detached);
    loop.poll();
    while (pool.queued() > 0) { // until the thread holds the first job
        std::this_thread::yield();
    }
    for (int i = 0; i < 3; ++i) {
        asio::co_spawn(loop, add(pool, opened, out), asio::detached);
    }
    loop.poll();
    EXPECT_EQ(out, std::vector<Errc>{Errc::busy});
    gate.set_value();
    loop.run();
    EXPECT_EQ(out, (std::vector<Errc>{Errc::busy, Errc::internal, Errc::internal, Errc::internal}));
}

} // namespace
} // namespace rbee::runtime
