#include "rbee/queen/fleet.hpp"
#include "rbee/queen/fleet_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace rbee::queen {
namespace {

using domain::WorkerState;
using std::chrono::seconds;
using test::FleetTest;
using test::report;
using test::worker;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

WorkerRegistration external(const std::string& id, const std::string& hive_url) {
    WorkerRegistration out;
    out.info = worker(id, WorkerState::idle);
    out.rbee_hive_url = hive_url;
    out.capabilities = {"cuda:0"};
    out.models_loaded = {"hf:org/other"};
    return out;
}

TEST_F(FleetTest, TakesAndGivesBackSlots) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle, 1)}));
    const auto taken = fleet_.take({"tiny", {}});
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->info.id, "a");
    EXPECT_FALSE(fleet_.take({"tiny", {}}));
    const int before = changes_;
    fleet_.give_back(*taken);
    EXPECT_EQ(changes_, before + 1);
    EXPECT_TRUE(fleet_.take({"file:/m/tiny.gguf", {}}));
}

TEST_F(FleetTest, CountsSurviveReports) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle, 1)}));
    const auto taken = fleet_.take({"tiny", {}});
    fleet_.apply(report("h1", {worker("a", WorkerState::busy, 1)}));
    EXPECT_FALSE(fleet_.take({"tiny", {}}));
    fleet_.apply(report("h1", {}));
    EXPECT_TRUE(taken->gone);
    fleet_.give_back(*taken); // a worker that is gone can still be given back
}

TEST_F(FleetTest, HiveThatIsUnreachableGetsNothingUntilItReports) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    fleet_.unreachable("h1", "refused");
    EXPECT_FALSE(fleet_.take({"tiny", {}}));
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    EXPECT_TRUE(fleet_.take({"tiny", {}}));
}

TEST_F(FleetTest, HiveThatVanishesIsWaitedForTenSeconds) {
    std::vector<TimePoint> due;
    fleet_.on_due([&](TimePoint time) { due.push_back(time); });
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    fleet_.unreachable("h1", "refused");
    EXPECT_TRUE(fleet_.served({"tiny", {}})) << "its workers carry on without it";
    clock_.advance(seconds(5));
    fleet_.unreachable("h1", "refused again"); // does not begin anew
    clock_.advance(seconds(5));
    EXPECT_FALSE(fleet_.served({"tiny", {}}));
    EXPECT_THAT(due, ElementsAre(clock_.now()));
}

TEST_F(FleetTest, HiveThatRefusesTheTokenGetsNothingUntilItAcceptsACall) {
    fleet_.apply(report("h1", {worker("w1", WorkerState::idle)}));
    fleet_.misconfigured("h1");
    fleet_.apply(report("h1", {worker("w1", WorkerState::idle)})); // it still may report
    EXPECT_FALSE(fleet_.find_hive("h1")->available);
    EXPECT_THAT(fleet_.find_hive("h1")->reason, testing::HasSubstr("misconfigured"));
    EXPECT_EQ(fleet_.take({"tiny", {}}), nullptr);
    fleet_.accepted("h1");
    fleet_.apply(report("h1", {worker("w1", WorkerState::idle)}));
    EXPECT_TRUE(fleet_.find_hive("h1")->available);
    EXPECT_NE(fleet_.take({"tiny", {}}), nullptr);
}

TEST_F(FleetTest, SilentHiveBecomesUnavailableAfter45Seconds) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    clock_.advance(seconds(45));
    EXPECT_THAT(fleet_.sweep(), IsEmpty());
    clock_.advance(seconds(1));
    EXPECT_THAT(fleet_.sweep(), SizeIs(1));
    EXPECT_FALSE(fleet_.find_hive("h1")->available);
    EXPECT_THAT(fleet_.sweep(), IsEmpty());
}

TEST_F(FleetTest, HeldWorkerIsFreeAgainAfterTheHold) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    const auto taken = fleet_.take({"tiny", {}});
    fleet_.hold(*taken, seconds(1));
    fleet_.give_back(*taken);
    EXPECT_FALSE(fleet_.take({"tiny", {}}));
    EXPECT_TRUE(fleet_.served({"tiny", {}}));
    clock_.advance(seconds(1));
    EXPECT_TRUE(fleet_.take({"tiny", {}}));
}

TEST_F(FleetTest, RegistrationBelongsToItsFirstOwner) {
    EXPECT_EQ(fleet_.register_worker(external("w", "http://h1:9200")).value(), true);
    EXPECT_EQ(fleet_.register_worker(external("w", "http://h1:9200")).value(), false);
    const auto other = fleet_.register_worker(external("w", "http://h2:9200"));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().wire_code, "WORKER_ALREADY_REGISTERED");
    EXPECT_THAT(fleet_.workers(), SizeIs(1));
    EXPECT_EQ(fleet_.find_worker("w")->last_heartbeat_unix, 1'700'000'000);
    EXPECT_TRUE(fleet_.take({"hf:org/other", {}}));
}

TEST_F(FleetTest, SweepRemovesTheSilentWorkerAndKeepsTheFreshOne) {
    ASSERT_TRUE(fleet_.register_worker(external("old", "http://h1:9200")));
    clock_.advance(seconds(100));
    ASSERT_TRUE(fleet_.register_worker(external("new", "http://h1:9200")));
    clock_.advance(seconds(21));
    EXPECT_THAT(fleet_.sweep(), SizeIs(1));
    EXPECT_FALSE(fleet_.find_worker("old"));
    EXPECT_TRUE(fleet_.find_worker("new"));
}

TEST_F(FleetTest, StaleButBusyWorkerStaysUntilItsRequestEnds) {
    ASSERT_TRUE(fleet_.register_worker(external("w", "http://h1:9200")));
    const auto taken = fleet_.take({"tiny", {}});
    clock_.advance(seconds(121));
    EXPECT_THAT(fleet_.sweep(), IsEmpty());
    EXPECT_FALSE(fleet_.take({"tiny", {}}));
    fleet_.give_back(*taken);
    EXPECT_THAT(fleet_.sweep(), SizeIs(1));
}

TEST_F(FleetTest, LastStateWinsUntilTheHiveReportsAChange) {
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    ASSERT_TRUE(fleet_.set_state("a", WorkerState::draining));
    ASSERT_TRUE(fleet_.heartbeat("a"));
    fleet_.apply(report("h1", {worker("a", WorkerState::idle)}));
    EXPECT_EQ(fleet_.find_worker("a")->state(), WorkerState::draining);
    fleet_.apply(report("h1", {worker("a", WorkerState::busy)}));
    EXPECT_EQ(fleet_.find_worker("a")->state(), WorkerState::busy);
    EXPECT_FALSE(fleet_.set_state("none", WorkerState::idle));
}

TEST_F(FleetTest, SpawnsWhereThereIsMostMemory) {
    auto small = report("h1", {});
    auto large = report("h2", {});
    large.ram_available_bytes = 2000;
    fleet_.apply(small);
    fleet_.apply(large);
    EXPECT_EQ(fleet_.plan_spawn({"tiny", {}})->hive, "h2");
    EXPECT_EQ(fleet_.plan_spawn({"tiny", "h1"})->hive, "h1");
    EXPECT_EQ(fleet_.plan_spawn({"file:/x/y.gguf", {}})->model_ref, "file:/x/y.gguf");
    EXPECT_EQ(fleet_.plan_spawn({"none", {}}).error().code, Errc::not_found);
    fleet_.unreachable("h1", "refused");
    fleet_.unreachable("h2", "refused");
    EXPECT_EQ(fleet_.plan_spawn({"tiny", {}}).error().wire_code, "HIVE_UNAVAILABLE");
}

TEST_F(FleetTest, ModelsAreTheUnionWithTheBestState) {
    fleet_.apply(report("h1", {worker("a", WorkerState::loading)}));
    fleet_.apply(report("h2", {worker("b", WorkerState::idle)}));
    const auto models = fleet_.models();
    ASSERT_THAT(models, SizeIs(1));
    const KnownModel& tiny = models.at("tiny");
    EXPECT_EQ(tiny.entry.state, "ready");
    EXPECT_EQ(tiny.entry.size_bytes, 1000U);
    EXPECT_EQ(tiny.workers, 2U);
    EXPECT_THAT(tiny.hives, ElementsAre("h1", "h2"));
    EXPECT_TRUE(fleet_.knows_model("tiny"));
    EXPECT_TRUE(fleet_.knows_model("file:/any.gguf"));
    EXPECT_FALSE(fleet_.knows_model("other"));
}

} // namespace
} // namespace rbee::queen
