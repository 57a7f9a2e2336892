#include "rbee/hive/worker_registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/fake_clock.hpp"

namespace rbee::hive {
namespace {

using domain::WorkerState;
using namespace std::chrono_literals;

class WorkerRegistryTest : public testing::Test {
protected:
    void start(const std::string& id, std::uint32_t slots = 2) {
        api::WorkerInfo info;
        info.id = id;
        info.model = "tiny";
        info.slots_total = slots;
        info.pid = 4711;
        registry_.started(info);
    }
    void make_ready(const std::string& id, std::uint32_t slots = 2) {
        start(id, slots);
        ASSERT_TRUE(registry_.called_back(id));
        ASSERT_TRUE(registry_.became_ready(id, slots));
    }
    [[nodiscard]] api::WorkerInfo info(const std::string& id) const {
        return registry_.find(id)->info;
    }

    test::FakeClock clock_;
    WorkerRegistry registry_{clock_};
};

TEST_F(WorkerRegistryTest, A_started_worker_loads_and_has_no_free_slot) {
    start("w");
    EXPECT_EQ(info("w").state, WorkerState::loading);
    EXPECT_EQ(info("w").slots_available, 0U);
    EXPECT_EQ(info("w").pid, 4711);
    EXPECT_FALSE(registry_.take("w", true));
}

TEST_F(WorkerRegistryTest, Ready_makes_it_idle_with_the_slots_it_told) {
    start("w", 1);
    ASSERT_TRUE(registry_.became_ready("w", 4));
    EXPECT_EQ(info("w").state, WorkerState::idle);
    EXPECT_EQ(info("w").slots_available, 4U);
    EXPECT_EQ(info("w").pid, 4711);
}

TEST_F(WorkerRegistryTest, A_worker_that_refuses_its_token_gets_nothing_however_healthy_it_is) {
    make_ready("w");
    ASSERT_TRUE(registry_.misconfigured("w"));
    ASSERT_TRUE(registry_.health_passed("w", 1));
    ASSERT_TRUE(registry_.became_ready("w", 2));
    EXPECT_EQ(info("w").state, WorkerState::unhealthy);
    EXPECT_THAT(info("w").reason, testing::HasSubstr("misconfigured"));
    EXPECT_FALSE(registry_.take("w", true));
    EXPECT_TRUE(registry_.stop_requested("w", "asked"));
    EXPECT_FALSE(registry_.misconfigured("w"));
}

TEST_F(WorkerRegistryTest, Slots_are_counted_and_given_back) {
    make_ready("w", 2);
    auto first = registry_.take("w", true);
    auto second = registry_.take("w", true);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(info("w").state, WorkerState::busy);
    const auto third = registry_.take("w", true);
    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().code, Errc::busy);
    EXPECT_TRUE(registry_.take("w", false)) << "counting tokens needs no slot";
    first->reset();
    EXPECT_EQ(info("w").state, WorkerState::idle);
    EXPECT_EQ(info("w").slots_available, 1U);
}

TEST_F(WorkerRegistryTest, Tracked_requests_show_their_earliest_deadline_and_go_with_their_lease) {
    make_ready("w", 2);
    make_ready("other");
    auto late = registry_.take("w", true);
    auto soon = registry_.take("w", false);
    ASSERT_TRUE(late && soon);
    EXPECT_EQ(info("w").active_requests, 0U);
    EXPECT_FALSE(info("w").deadline);
    late->track("r-1", 30s);
    soon->track("r-1", 1500ms); // ids are up to clients
    EXPECT_EQ(info("w").active_requests, 2U);
    EXPECT_EQ(info("w").deadline, "2026-01-01T00:00:01.500Z");
    EXPECT_EQ(registry_.find("w")->requests.by_deadline().begin()->second, "r-1");
    EXPECT_EQ(info("other").active_requests, 0U);
    soon->reset();
    EXPECT_EQ(info("w").deadline, "2026-01-01T00:00:30.000Z");
    {
        const WorkerRegistry::Lease moved = std::move(*late);
        EXPECT_EQ(info("w").active_requests, 1U);
    }
    EXPECT_EQ(info("w").active_requests, 0U);
    EXPECT_FALSE(info("w").deadline);
    EXPECT_TRUE(registry_.find("w")->requests.by_deadline().empty());
}

TEST_F(WorkerRegistryTest, A_worker_that_has_gone_keeps_no_requests) {
    make_ready("w");
    auto lease = registry_.take("w", true);
    ASSERT_TRUE(lease);
    lease->track("r-1", 30s);
    ASSERT_TRUE(registry_.exited("w", "killed by signal 9 (SIGKILL)"));
    lease->reset();
    EXPECT_EQ(info("w").active_requests, 0U);
    EXPECT_FALSE(info("w").deadline);
}

TEST_F(WorkerRegistryTest, An_exit_while_loading_is_a_failure_with_its_reason) {
    start("w");
    EXPECT_EQ(*registry_.exited("w", "no such file (exit code 1)"), WorkerState::failed);
    EXPECT_EQ(info("w").reason, "no such file (exit code 1)");
    EXPECT_FALSE(info("w").pid);
}

TEST_F(WorkerRegistryTest, The_reason_that_a_worker_gave_itself_stays_in_front) {
    start("w");
    ASSERT_TRUE(registry_.load_failed("w", "not a GGUF file"));
    EXPECT_EQ(*registry_.exited("w", "exit code 1"), WorkerState::failed);
    EXPECT_EQ(info("w").reason, "not a GGUF file (exit code 1)");
}

TEST_F(WorkerRegistryTest, An_exit_in_service_is_a_crash_and_one_that_was_asked_for_is_not) {
    make_ready("crashes");
    make_ready("stops");
    EXPECT_EQ(*registry_.exited("crashes", "killed by signal 9 (SIGKILL)"), WorkerState::crashed);
    ASSERT_TRUE(registry_.stop_requested("stops", "asked"));
    EXPECT_EQ(info("stops").state, WorkerState::draining);
    EXPECT_EQ(*registry_.exited("stops", "exit code 0"), WorkerState::stopped);
    EXPECT_EQ(registry_.find("stops"), nullptr);
    EXPECT_NE(registry_.find("crashes"), nullptr);
}

TEST_F(WorkerRegistryTest, A_lease_may_outlive_its_worker) {
    make_ready("w");
    auto lease = registry_.take("w", true);
    ASSERT_TRUE(lease);
    ASSERT_TRUE(registry_.stop_requested("w", "asked"));
    ASSERT_TRUE(registry_.exited("w", "exit code 0"));
    lease->reset();
    EXPECT_EQ(registry_.find("w"), nullptr);
}

TEST_F(WorkerRegistryTest, Three_failed_checks_in_a_row_make_it_unhealthy_and_one_good_one_heals) {
    make_ready("w");
    EXPECT_EQ(*registry_.health_failed("w", "timeout"), 1U);
    EXPECT_EQ(*registry_.health_failed("w", "timeout"), 2U);
    EXPECT_EQ(info("w").state, WorkerState::idle);
    ASSERT_TRUE(registry_.health_passed("w", 1000));
    EXPECT_EQ(info("w").failed_health_checks, 0U);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(registry_.health_failed("w", "timeout"));
    }
    EXPECT_EQ(info("w").state, WorkerState::unhealthy);
    EXPECT_FALSE(registry_.take("w", true));
    ASSERT_TRUE(registry_.health_passed("w", 0));
    EXPECT_EQ(info("w").state, WorkerState::idle);
    EXPECT_EQ(info("w").memory_bytes, 1000U);
}

TEST_F(WorkerRegistryTest, Only_growing_numbers_are_progress) {
    start("w");
    clock_.advance(10s);
    ASSERT_TRUE(registry_.load_progressed("w", 0.5));
    const TimePoint moved = registry_.find("w")->progressed;
    clock_.advance(10s);
    ASSERT_TRUE(registry_.load_progressed("w", 0.5));
    EXPECT_EQ(registry_.find("w")->progressed, moved);
}

TEST_F(WorkerRegistryTest, Ended_workers_stay_visible_for_five_minutes) {
    start("w");
    ASSERT_TRUE(registry_.exited("w", "exit code 1"));
    clock_.advance(4min);
    registry_.prune();
    EXPECT_NE(registry_.find("w"), nullptr);
    clock_.advance(1min);
    registry_.prune();
    EXPECT_EQ(registry_.find("w"), nullptr);
}

TEST_F(WorkerRegistryTest, At_most_twenty_ended_workers_stay) {
    for (int i = 0; i < 25; ++i) {
        const std::string id = "w" + std::to_string(i);
        start(id);
        clock_.advance(1s);
        ASSERT_TRUE(registry_.exited(id, "exit code 1"));
    }
    registry_.prune();
    EXPECT_EQ(registry_.list().size(), 20U);
    EXPECT_EQ(registry_.find("w4"), nullptr);
    EXPECT_NE(registry_.find("w5"), nullptr);
}

TEST_F(WorkerRegistryTest, A_dying_worker_takes_nothing_but_has_not_gone) {
    make_ready("w");
    ASSERT_TRUE(registry_.dying("w", "the kernel is ending its process"));
    EXPECT_EQ(info("w").state, WorkerState::dying);
    EXPECT_EQ(info("w").slots_available, 0U);
    EXPECT_EQ(registry_.alive_count(), 1U);
    EXPECT_FALSE(registry_.take("w", true));
    EXPECT_FALSE(registry_.became_ready("w", 2)) << "late news";
    EXPECT_FALSE(registry_.dying("w", "again"));
    ASSERT_TRUE(registry_.stop_requested("w", "asked"));
    EXPECT_EQ(info("w").state, WorkerState::dying);
    EXPECT_EQ(*registry_.exited("w", "killed"), WorkerState::stopped);
}

TEST_F(WorkerRegistryTest, A_worker_that_waits_to_come_back_stays_however_long_it_takes) {
    make_ready("w");
    EXPECT_FALSE(registry_.back_off("w", "", clock_.wall())) << "it has its process";
    ASSERT_TRUE(registry_.exited("w", "exit code 1"));
    ASSERT_TRUE(registry_.back_off("w", "restart 1 of 3", clock_.wall() + 1h));
    EXPECT_EQ(info("w").next_restart, "2026-01-01T01:00:00.000Z");
    EXPECT_EQ(registry_.alive_count(), 0U);
    clock_.advance(50min);
    registry_.prune();
    ASSERT_NE(registry_.find("w"), nullptr);
    start("w");
    EXPECT_EQ(info("w").state, WorkerState::loading);
    EXPECT_EQ(info("w").restart_count, 1U);
    EXPECT_EQ(info("w").last_restart, "2026-01-01T00:50:00.000Z");
    EXPECT_EQ(info("w").last_exit, "exit code 1");
    EXPECT_FALSE(info("w").next_restart);
    ASSERT_TRUE(registry_.restarts_forgiven("w"));
    EXPECT_EQ(info("w").restart_count, 0U);
}

TEST_F(WorkerRegistryTest, A_stop_for_a_restart_keeps_the_worker_unless_somebody_wants_it_gone) {
    make_ready("comes");
    ASSERT_TRUE(registry_.restart_requested("comes", "asked"));
    EXPECT_EQ(info("comes").state, WorkerState::draining);
    EXPECT_FALSE(registry_.restart_requested("comes", "asked"));
    EXPECT_EQ(*registry_.exited("comes", "exit code 0"), WorkerState::backoff);
    make_ready("goes");
    ASSERT_TRUE(registry_.restart_requested("goes", "asked"));
    ASSERT_TRUE(registry_.stop_requested("goes", "asked"));
    EXPECT_EQ(*registry_.exited("goes", "exit code 0"), WorkerState::stopped);
}

TEST_F(WorkerRegistryTest, Who_is_given_up_is_shown_for_a_while) {
    make_ready("w");
    ASSERT_TRUE(registry_.exited("w", "exit code 1"));
    ASSERT_TRUE(registry_.back_off("w", "", clock_.wall()));
    ASSERT_TRUE(registry_.give_up("w", WorkerState::failed, "out of memory"));
    EXPECT_EQ(info("w").reason, "out of memory");
    EXPECT_FALSE(info("w").next_restart);
    clock_.advance(5min);
    registry_.prune();
    EXPECT_EQ(registry_.find("w"), nullptr);
}

TEST_F(WorkerRegistryTest, Only_a_worker_without_a_process_can_be_removed) {
    make_ready("w");
    EXPECT_FALSE(registry_.remove("w"));
    ASSERT_TRUE(registry_.exited("w", "exit code 1"));
    ASSERT_TRUE(registry_.remove("w"));
    EXPECT_EQ(registry_.find("w"), nullptr);
}

TEST_F(WorkerRegistryTest, Unknown_workers_are_named_as_such) {
    EXPECT_EQ(registry_.heartbeat("nobody").error().wire_code, "WORKER_NOT_FOUND");
    EXPECT_EQ(registry_.take("nobody", true).error().wire_code, "WORKER_NOT_FOUND");
}

TEST_F(WorkerRegistryTest, Observers_hear_of_changes_but_not_of_progress) {
    int heard = 0;
    registry_.on_change([&] { ++heard; });
    start("w");
    EXPECT_EQ(heard, 1);
    ASSERT_TRUE(registry_.load_progressed("w", 0.1));
    EXPECT_EQ(heard, 1);
    ASSERT_TRUE(registry_.became_ready("w", 2));
    EXPECT_EQ(heard, 2);
    auto first = registry_.take("w", true);
    EXPECT_EQ(heard, 2) << "a slot is still free";
    auto second = registry_.take("w", true);
    EXPECT_EQ(heard, 3);
    second->reset();
    EXPECT_EQ(heard, 4);
}

TEST(WorkerRegistryProperty, Slots_never_leak_whatever_happens_in_whatever_order) {
    rc::check([] {
        const test::FakeClock clock;
        WorkerRegistry registry(clock);
        api::WorkerInfo info;
        info.id = "w";
        info.slots_total = 3;
        info.pid = 1;
        registry.started(info);
        std::vector<WorkerRegistry::Lease> leases;
        const auto steps = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8));
        for (const int step : steps) {
            switch (step) {
            case 0:
                (void)registry.became_ready("w", 0);
                break;
            case 1:
            case 2:
                if (auto lease = registry.take("w", true)) {
                    leases.push_back(std::move(*lease));
                }
                break;
            case 3:
                if (!leases.empty()) {
                    leases.pop_back();
                }
                break;
            case 4:
                (void)registry.health_failed("w", "x");
                break;
            case 5:
                (void)registry.health_passed("w", 0);
                break;
            case 6:
                (void)registry.load_failed("w", "x");
                break;
            default:
                (void)registry.heartbeat("w");
                break;
            }
            const WorkerRegistry::Entry& entry = *registry.find("w");
            RC_ASSERT(entry.in_flight == leases.size());
            RC_ASSERT(entry.in_flight <= entry.info.slots_total);
            const bool routable = domain::routable(entry.info.state);
            RC_ASSERT(entry.info.slots_available == (routable ? 3U - entry.in_flight : 0U));
            RC_ASSERT(
                (entry.info.state == WorkerState::busy) == (routable && entry.in_flight == 3U)
            );
        }
    });
}

} // namespace
} // namespace rbee::hive
