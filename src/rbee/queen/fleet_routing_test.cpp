#include "rbee/queen/fleet.hpp"
#include "rbee/queen/fleet_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace rbee::queen {
namespace {

using domain::WorkerState;
using std::chrono::seconds;
using test::report;
using test::worker;
using Verdict = Fleet::Verdict;
using State = domain::RouteBreaker::State;

class FleetRoutingTest : public test::FleetTest {
protected:
    void SetUp() override {
        test::FleetTest::SetUp();
        fleet_.on_opening([this](const Fleet::Opening& opening) {
            openings_.push_back(std::string(opening.target) + " " + std::string(opening.name));
        });
    }

    /// One call that ends like this, wherever it goes; the id of the worker, empty for none.
    std::string call(Verdict verdict) {
        const auto taken = fleet_.take(wanted_);
        if (!taken) {
            return "";
        }
        const auto route = fleet_.begin_call(*taken);
        fleet_.end_call(*taken, route, verdict);
        fleet_.give_back(*taken);
        return taken->info.id;
    }
    /// A call to this worker, whatever the choice would be.
    void call_to(const std::string& id, Verdict verdict) {
        const auto taken = fleet_.workers().at(id);
        fleet_.end_call(*taken, fleet_.begin_call(*taken), verdict);
    }
    State breaker_of(const std::string& id) { return fleet_.workers().at(id)->breaker.state(); }

    domain::Wanted wanted_{"tiny", {}};
    std::vector<std::string> openings_;
};

TEST_F(FleetRoutingTest, WorkerThatKeepsFailingIsLeftAlone) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle), worker("b", WorkerState::idle)}));
    for (int i = 0; i < 3; ++i) {
        call_to("a", Verdict::worker_fault);
    }
    EXPECT_THAT(openings_, testing::ElementsAre("worker a"));
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(call(Verdict::good), "b");
    }
    EXPECT_EQ(fleet_.degraded(), 0U);
    clock_.advance(seconds(5));
    std::string seen = call(Verdict::good);
    seen += call(Verdict::good);
    EXPECT_THAT(seen, testing::HasSubstr("a")) << "the probe";
    EXPECT_EQ(breaker_of("a"), State::ramping);
}

TEST_F(FleetRoutingTest, TheLastWayIsUsedAllTheSame) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(call(Verdict::worker_fault), "a") << i;
    }
    EXPECT_EQ(breaker_of("a"), State::open);
    EXPECT_GT(fleet_.degraded(), 0U);
    EXPECT_EQ(call(Verdict::good), "a");
    EXPECT_EQ(breaker_of("a"), State::ramping) << "it works again: no need to wait";
}

TEST_F(FleetRoutingTest, FullWorkerIsWaitedForRatherThanABlockedOne) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle), worker("b", WorkerState::idle, 1)}));
    for (int i = 0; i < 3; ++i) {
        call_to("a", Verdict::worker_fault);
    }
    const auto only = fleet_.take(wanted_);
    ASSERT_TRUE(only);
    EXPECT_EQ(only->info.id, "b");
    EXPECT_FALSE(fleet_.take(wanted_));
    fleet_.give_back(*only);
    // Were b to go, a would be the last.
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    EXPECT_TRUE(fleet_.take(wanted_));
    EXPECT_EQ(fleet_.degraded(), 1U);
}

TEST_F(FleetRoutingTest, HiveThatKeepsFailingIsLeftAloneWithAllItsWorkers) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle), worker("b", WorkerState::idle)}));
    fleet_.apply(report("h2", {worker("c", WorkerState::idle)}));
    call_to("a", Verdict::hive_fault);
    call_to("b", Verdict::hive_fault);
    call_to("a", Verdict::hive_fault);
    EXPECT_THAT(openings_, testing::ElementsAre("hive h1"));
    EXPECT_EQ(breaker_of("a"), State::closed) << "not its fault";
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(call(Verdict::good), "c");
    }
    fleet_.apply(report("h1", {worker("a", WorkerState::idle), worker("b", WorkerState::idle)}));
    EXPECT_EQ(call(Verdict::good), "c") << "that it reports does not show that it can be called";
}

TEST_F(FleetRoutingTest, NewProcessOfAWorkerBeginsAnew) {
    auto info = worker("a", WorkerState::idle);
    info.pid = 100;
    fleet_.apply(report("h1", {info}));
    for (int i = 0; i < 3; ++i) {
        call_to("a", Verdict::worker_fault);
    }
    EXPECT_EQ(breaker_of("a"), State::open);
    info.pid = 101;
    fleet_.apply(report("h1", {info}));
    EXPECT_EQ(breaker_of("a"), State::closed);
}

TEST_F(FleetRoutingTest, AnswersAndCancelledCallsAreNoFaults) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    for (int i = 0; i < 100; ++i) {
        call(Verdict::nothing);
    }
    call(Verdict::worker_fault);
    call(Verdict::worker_fault);
    call(Verdict::nothing);
    EXPECT_EQ(breaker_of("a"), State::closed);
    call(Verdict::good);
    call(Verdict::worker_fault);
    EXPECT_EQ(breaker_of("a"), State::closed);
}

api::HiveReport with_restart(const std::string& hive, int seconds_from_now) {
    auto info = worker("a", WorkerState::backoff);
    info.next_restart = to_rfc3339(WallTime(seconds(1'000'000 + seconds_from_now)));
    auto out = report(hive, {info});
    out.timestamp = to_rfc3339(WallTime(seconds(1'000'000))); // its clock is far behind ours
    return out;
}

TEST_F(FleetRoutingTest, RestartIsWaitedForByTheClockOfTheHive) {
    fleet_.apply(with_restart("h1", 4));
    const auto hope = fleet_.outlook(wanted_);
    EXPECT_FALSE(hope.soon);
    ASSERT_TRUE(hope.restarting);
    EXPECT_EQ(hope.restarting->restart_due, clock_.now() + seconds(4));
    EXPECT_FALSE(fleet_.take(wanted_));
    fleet_.apply(report("h1", {worker("a", WorkerState::loading)}));
    EXPECT_TRUE(fleet_.outlook(wanted_).soon);
}

TEST_F(FleetRoutingTest, RestartThatABreakerHoldsBackIsNoHope) {
    fleet_.apply(with_restart("h1", 280));
    EXPECT_FALSE(fleet_.served(wanted_));
    EXPECT_EQ(fleet_.plan_spawn(wanted_)->hive, "h1");
}

TEST_F(FleetRoutingTest, DyingWorkerGetsNothingButIsWaitedFor) {
    fleet_.apply(report("h1", {worker("a", WorkerState::dying)}));
    EXPECT_FALSE(fleet_.take(wanted_));
    EXPECT_TRUE(fleet_.served(wanted_));
}

TEST_F(FleetRoutingTest, HiveThatRefusedAModelIsAskedLast) {
    auto large = report("h1", {});
    large.ram_available_bytes = 2000;
    fleet_.apply(large);
    fleet_.apply(report("h2", {}));
    const auto first = fleet_.plan_spawn(wanted_);
    EXPECT_EQ(first->hive, "h1");
    fleet_.spawn_refused(*first, seconds(30));
    const auto second = fleet_.plan_spawn(wanted_);
    EXPECT_EQ(second->hive, "h2");
    EXPECT_TRUE(second->promising);
    fleet_.spawn_refused(*second, seconds(30));
    EXPECT_FALSE(fleet_.plan_spawn(wanted_)->promising);
    clock_.advance(seconds(30));
    EXPECT_EQ(fleet_.plan_spawn(wanted_)->hive, "h1");
}

/// Calls, deaths, vanishing hives and time in any order: whatever the breakers say, nothing goes
/// where it cannot be served, a way that is known to be bad is only the last resort, and there
/// always is a way while a worker is up and has room.
TEST_F(FleetRoutingTest, ThereIsAlwaysAWayWhileAWorkerIsUp) {
    std::mt19937_64 random(5); // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
    fleet_.use_random([&random] { return random(); });
    struct Running {
        std::shared_ptr<Worker> worker;
        Fleet::Route route;
    };
    std::vector<Running> running;
    std::uint64_t last_resorts = 0;
    for (int step = 0; step < 100'000; ++step) {
        const auto dice = random() % 100;
        if (dice < 10) {
            const std::string hive = random() % 2 == 0 ? "h1" : "h2";
            std::vector<api::WorkerInfo> workers;
            for (const char* id : {"a", "b"}) {
                constexpr std::array states = {
                    WorkerState::idle, WorkerState::busy, WorkerState::dying, WorkerState::backoff
                };
                workers.push_back(worker(hive + id, states.at(random() % states.size()), 3));
            }
            random() % 5 == 0 ? fleet_.unreachable(hive, "refused")
                              : fleet_.apply(report(hive, std::move(workers)));
        } else if (dice < 20) {
            clock_.advance(std::chrono::milliseconds(random() % 3000));
        } else if (dice < 55 && !running.empty()) {
            constexpr std::array verdicts = {
                Verdict::good, Verdict::worker_fault, Verdict::hive_fault, Verdict::nothing
            };
            const auto at = static_cast<std::ptrdiff_t>(random() % running.size());
            const Running ended = running[static_cast<std::size_t>(at)];
            running.erase(running.begin() + at);
            fleet_.end_call(*ended.worker, ended.route, verdicts.at(random() % verdicts.size()));
            fleet_.give_back(*ended.worker);
        } else {
            const TimePoint now = clock_.now();
            bool open_way = false; // some worker is up that no breaker keeps back
            bool room = false;     // one of those that may be taken has a free slot
            const auto look = [&](bool last_resort) {
                for (const auto& [id, one] : fleet_.workers()) {
                    const Hive& hive = *fleet_.find_hive(one->hive);
                    const bool up = domain::routable(one->state()) && hive.available;
                    const bool blocked = one->breaker.blocked(now) || hive.breaker.blocked(now);
                    const bool narrow = !one->breaker.admits(now) || !hive.breaker.admits(now);
                    open_way = open_way || (up && !blocked);
                    room = room || (up && one->in_flight < one->info.slots_total &&
                                    (last_resort || !narrow));
                }
            };
            look(false);
            if (!open_way) {
                look(true);
            }
            const std::uint64_t before = fleet_.degraded();
            auto taken = fleet_.take(wanted_);
            ASSERT_EQ(taken != nullptr, room) << step;
            if (!taken) {
                continue;
            }
            ASSERT_TRUE(domain::routable(taken->state())) << step;
            ASSERT_TRUE(fleet_.find_hive(taken->hive)->available) << step;
            ASSERT_EQ(fleet_.degraded() - before, open_way ? 0U : 1U) << step;
            last_resorts += open_way ? 0 : 1;
            const auto route = fleet_.begin_call(*taken);
            running.push_back({std::move(taken), route});
        }
    }
    EXPECT_GT(last_resorts, 100U);
    EXPECT_GT(openings_.size(), 100U);
}

} // namespace
} // namespace rbee::queen
