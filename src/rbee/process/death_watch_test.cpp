#include "rbee/process/death_watch.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

namespace rbee::process {
namespace {

using namespace std::chrono_literals;

/// A process that has taken a page and sleeps.
struct Victim {
    pid_t pid = 0;
    std::shared_ptr<PulsePage> page;

    void kill() const { ::kill(pid, SIGKILL); }
    void reap() const { ::waitpid(pid, nullptr, 0); }
};

class DeathWatchTest : public testing::Test {
protected:
    ~DeathWatchTest() override {
        for (const Victim& victim : victims_) {
            victim.kill();
            victim.reap();
        }
    }

    /// Forked by hand: before it takes the page, the process must be another than this one.
    const Victim& make_victim(bool takes_the_page = true) {
        auto made = PulsePage::make("worker");
        EXPECT_TRUE(made);
        auto page = std::make_shared<PulsePage>(std::move(*made));
        int ready[2];
        EXPECT_EQ(::pipe(ready), 0);
        const pid_t pid = ::fork();
        if (pid == 0) {
            const bool good = !takes_the_page || PulseHolder::take(page->fd()).has_value();
            while (::write(ready[1], "", good ? 1 : 0) == 1) {
                ::pause();
            }
            std::_Exit(1);
        }
        char answer = 0;
        EXPECT_EQ(::read(ready[0], &answer, 1), 1);
        ::close(ready[0]);
        ::close(ready[1]);
        return victims_.emplace_back(pid, std::move(page));
    }

    /// Runs one callback of the watch.
    void turn() { ASSERT_EQ(loop_.run_one_for(20s), 1U); }

    /// Returns when everything that died before has been heard: another death has.
    void settle() {
        const Victim& last = make_victim();
        bool heard = false;
        const auto entry = watch_.watch(last.page, [&] { heard = true; });
        ASSERT_TRUE(entry);
        last.kill();
        while (!heard) {
            turn();
        }
    }

    boost::asio::io_context loop_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> running_{
        loop_.get_executor()
    };
    std::deque<Victim> victims_;
    DeathWatch watch_{loop_.get_executor()};
};

TEST_F(DeathWatchTest, It_hears_of_a_death_once) {
    const Victim& victim = make_victim();
    int heard = 0;
    const auto entry = watch_.watch(victim.page, [&] { ++heard; });
    ASSERT_TRUE(entry);
    settle();
    EXPECT_EQ(heard, 0);
    victim.kill();
    turn();
    EXPECT_EQ(heard, 1);
    victim.reap();
    settle();
    EXPECT_EQ(heard, 1);
}

TEST_F(DeathWatchTest, It_hears_of_a_death_before_the_watch) {
    const Victim& victim = make_victim();
    victim.kill();
    victim.reap();
    int heard = 0;
    const auto entry = watch_.watch(victim.page, [&] { ++heard; });
    ASSERT_TRUE(entry);
    turn();
    EXPECT_EQ(heard, 1);
}

TEST_F(DeathWatchTest, The_lock_may_be_taken_after_the_watch_begins) {
    auto made = PulsePage::make("worker");
    ASSERT_TRUE(made);
    const auto page = std::make_shared<PulsePage>(std::move(*made));
    int heard = 0;
    const auto entry = watch_.watch(page, [&] { ++heard; });
    ASSERT_TRUE(entry);
    settle(); // by now its thread sleeps on a word that is still 0
    const pid_t pid = ::fork();
    if (pid == 0) {
        std::_Exit(PulseHolder::take(page->fd()) ? 0 : 1);
    }
    turn();
    EXPECT_EQ(heard, 1);
    ::waitpid(pid, nullptr, 0);
}

TEST_F(DeathWatchTest, Who_took_no_page_dies_unheard) {
    const Victim& victim = make_victim(false);
    const auto entry = watch_.watch(victim.page, [] { FAIL(); });
    ASSERT_TRUE(entry);
    victim.kill();
    victim.reap();
    settle();
}

TEST_F(DeathWatchTest, An_entry_that_is_gone_hears_nothing) {
    const Victim& victim = make_victim();
    auto entry = watch_.watch(victim.page, [] { FAIL(); });
    ASSERT_TRUE(entry);
    entry->reset();
    victim.kill();
    victim.reap();
    settle();
}

TEST_F(DeathWatchTest, An_entry_that_goes_while_its_callback_is_on_the_way_hears_nothing) {
    const Victim& victim = make_victim();
    DeathWatch::Entry first;
    DeathWatch::Entry second;
    int heard = 0;
    const auto end_the_other = [&heard](DeathWatch::Entry& other) {
        return [&heard, &other] {
            ++heard;
            other.reset();
        };
    };
    first = std::move(*watch_.watch(victim.page, end_the_other(second)));
    second = std::move(*watch_.watch(victim.page, end_the_other(first)));
    victim.kill();
    victim.reap();
    settle();
    EXPECT_EQ(heard, 1);
}

TEST_F(DeathWatchTest, More_than_one_thread_can_watch_is_watched) {
    constexpr std::size_t many = 140;
    std::vector<DeathWatch::Entry> entries;
    std::vector<int> heard(many);
    for (int& count : heard) {
        auto entry = watch_.watch(make_victim().page, [&count] { ++count; });
        ASSERT_TRUE(entry);
        entries.push_back(std::move(*entry));
    }
    for (const std::size_t i : {std::size_t{0}, std::size_t{126}, std::size_t{127}, many - 1}) {
        victims_.at(i).kill();
        turn();
        EXPECT_EQ(heard.at(i), 1) << i;
    }
    for (const Victim& victim : victims_) {
        victim.kill();
    }
    while (std::ranges::count(heard, 1) < std::ssize(heard)) {
        turn();
    }
}

TEST_F(DeathWatchTest, Entries_may_outlive_the_watch) {
    DeathWatch::Entry entry;
    {
        DeathWatch watch(loop_.get_executor());
        auto made = watch.watch(make_victim().page, [] {});
        ASSERT_TRUE(made);
        entry = std::move(*made);
    }
    entry.reset();
}

} // namespace
} // namespace rbee::process
