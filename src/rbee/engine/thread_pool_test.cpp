#include "rbee/engine/thread_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <future>
#include <vector>

namespace rbee::engine {
namespace {

TEST(ThreadPool, RunsJobsInOrder) {
    std::vector<int> order;
    ThreadPool pool("test", {.threads = 1, .waiting = 100});
    for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(pool.post([&order, i] { order.push_back(i); }));
    }
    pool.stop();
    ASSERT_EQ(order.size(), 50U);
    for (std::size_t i = 0; i < order.size(); ++i) {
        EXPECT_EQ(order[i], static_cast<int>(i));
    }
}

TEST(ThreadPool, BlockedJobsDoNotHoldOthersUp) {
    ThreadPool pool("test", {.threads = 3, .waiting = 10});
    std::promise<void> gate;
    const std::shared_future<void> open = gate.get_future().share();
    ASSERT_TRUE(pool.post([open] { open.wait(); }));
    ASSERT_TRUE(pool.post([open] { open.wait(); }));
    std::promise<void> third;
    ASSERT_TRUE(pool.post([&third] { third.set_value(); }));
    third.get_future().wait();
    gate.set_value();
}

TEST(ThreadPool, RefusesWhenFullAndAfterStop) {
    ThreadPool pool("test", {.threads = 1, .waiting = 2});
    std::promise<void> gate;
    std::promise<void> started;
    const std::shared_future<void> open = gate.get_future().share();
    std::atomic<int> done = 0;
    ASSERT_TRUE(pool.post([open, &started] {
        started.set_value();
        open.wait();
    }));
    started.get_future().wait();
    EXPECT_TRUE(pool.post([&done] { ++done; }));
    EXPECT_TRUE(pool.post([&done] { ++done; }));
    EXPECT_FALSE(pool.post([&done] { ++done; }));
    gate.set_value();
    pool.stop();
    EXPECT_EQ(done, 2);
    EXPECT_FALSE(pool.post([&done] { ++done; }));
    pool.stop();
}

} // namespace
} // namespace rbee::engine
