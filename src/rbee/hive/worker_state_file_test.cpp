#include "rbee/hive/worker_state_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "support/temp_dir.hpp"

namespace rbee::hive {
namespace {

namespace fs = std::filesystem;
using domain::WorkerState;

constexpr const char* boot = "0b3a2c1e-0000-4000-8000-000000000001";

SlotRecord running() {
    SlotRecord slot;
    slot.info.id = "worker-1";
    slot.info.url = "http://127.0.0.1:8081";
    slot.info.backend = "cpu";
    slot.info.slots_total = 4;
    slot.info.state = WorkerState::idle;
    slot.info.restart_count = 2;
    slot.info.last_restart = "2026-01-31T08:00:00.000Z";
    slot.info.pid = 4711;
    slot.model = {{domain::ModelRef::Provider::name, "tiny"}, "tiny", "/models/tiny.gguf", 1000};
    slot.engine_args = {"--ctx-size", "512"};
    slot.cpus = {0, 2};
    slot.start_ticks = 123456;
    slot.token = Secret(std::string("worker-token"));
    return slot;
}

std::vector<SlotRecord> list_of(SlotRecord slot) {
    std::vector<SlotRecord> out;
    out.push_back(std::move(slot));
    return out;
}

std::string text_of(SlotRecord slot) {
    return std::string(encode_slots(list_of(std::move(slot)), boot).expose());
}

TEST(WorkerList, WhatWasWrittenIsRead) {
    const auto slots = decode_slots(text_of(running()), boot);
    ASSERT_TRUE(slots) << slots.error().what;
    ASSERT_EQ(slots->size(), 1U);
    const SlotRecord& slot = slots->front();
    EXPECT_EQ(slot.info.id, "worker-1");
    EXPECT_EQ(slot.info.url, "http://127.0.0.1:8081");
    EXPECT_EQ(slot.info.pid, 4711);
    EXPECT_EQ(slot.info.restart_count, 2U);
    EXPECT_EQ(slot.info.last_restart, "2026-01-31T08:00:00.000Z");
    EXPECT_EQ(slot.info.model, "tiny");
    EXPECT_EQ(slot.info.model_ref, "tiny");
    EXPECT_EQ(slot.model.path, "/models/tiny.gguf");
    EXPECT_EQ(slot.model.size_bytes, 1000U);
    EXPECT_EQ(slot.engine_args, (std::vector<std::string>{"--ctx-size", "512"}));
    EXPECT_EQ(slot.cpus, (std::vector<unsigned>{0, 2}));
    EXPECT_EQ(slot.start_ticks, 123456U);
    EXPECT_EQ(slot.token.expose(), "worker-token");
}

TEST(WorkerList, RequestsOfTheMomentDoNotChangeIt) {
    SlotRecord busy = running();
    busy.info.state = WorkerState::busy;
    busy.info.slots_available = 1;
    busy.info.active_requests = 3;
    busy.info.memory_bytes = 42;
    EXPECT_EQ(text_of(std::move(busy)), text_of(running()));
    SlotRecord loading = running();
    loading.info.state = WorkerState::loading;
    EXPECT_NE(text_of(std::move(loading)), text_of(running()));
}

TEST(WorkerList, OneWithoutAProcessHasNoTokenEither) {
    SlotRecord waiting = running();
    waiting.info.pid = std::nullopt;
    waiting.info.state = WorkerState::backoff;
    const std::string text = text_of(std::move(waiting));
    EXPECT_THAT(text, testing::Not(testing::HasSubstr("worker-token")));
    const auto slots = decode_slots(text, boot);
    ASSERT_TRUE(slots);
    EXPECT_FALSE(slots->front().info.pid);
    EXPECT_EQ(slots->front().info.state, WorkerState::backoff);
}

TEST(WorkerList, ProcessesOfAnotherStartOfTheMachineAreForgotten) {
    const auto slots = decode_slots(text_of(running()), "another");
    ASSERT_TRUE(slots);
    EXPECT_TRUE(slots->empty());
}

TEST(WorkerList, AnyDamageIsToldAndNeverGuessedAt) {
    const std::string good = text_of(running());
    for (std::size_t cut = 0; cut < good.size(); ++cut) {
        const auto slots = decode_slots(good.substr(0, cut), boot);
        ASSERT_FALSE(slots) << cut;
        EXPECT_EQ(slots.error().code, Errc::corrupt);
    }
    for (const auto& [what, instead] : std::vector<std::pair<std::string, std::string>>{
             {R"("version":1)", R"("version":2)"},
             {R"("start_ticks":123456)", R"("start_ticks":"x")"},
             {R"("token":"worker-token")", R"("token":7)"},
             {R"("state":"idle")", R"("state":"asleep")"},
             {R"("slots":4)", R"("slots":99999999999)"},
             {R"("cpus":[0,2])", R"("cpus":[0,-2])"},
             {R"("engine_args":["--ctx-size","512"])", R"("engine_args":[1])"},
             {R"("model_ref":"tiny")", R"("model_ref":"../tiny")"},
             {R"("worker_id":"worker-1",)", ""},
         }) {
        std::string text = good;
        const auto at = text.find(what);
        ASSERT_NE(at, std::string::npos) << what << text;
        text.replace(at, what.size(), instead);
        EXPECT_FALSE(decode_slots(text, boot)) << instead;
    }
}

class WorkerStateFileTest : public testing::Test {
protected:
    test::TempDir root_;
    std::string folder_ = (fs::path(root_ / "run") / "hive-a").string();
};

TEST_F(WorkerStateFileTest, IsKeptFromOtherEyesAndFromOtherHives) {
    const auto file = WorkerStateFile::open(folder_);
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_TRUE(file->read(boot)->empty()) << "there is none yet";
    ASSERT_TRUE(file->write(encode_slots(list_of(running()), boot)));
    EXPECT_EQ(file->read(boot)->size(), 1U);
    struct stat info{};
    ASSERT_EQ(::stat((folder_ + "/workers.json").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    const auto second = WorkerStateFile::open(folder_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
}

TEST_F(WorkerStateFileTest, TheNextHiveGetsTheDirectoryAndClearsUnfinishedWork) {
    {
        const auto first = WorkerStateFile::open(folder_);
        ASSERT_TRUE(first);
        ASSERT_TRUE(first->write(encode_slots(list_of(running()), boot)));
        std::ofstream(folder_ + "/workers.json.99.tmp") << "half";
    }
    const auto next = WorkerStateFile::open(folder_);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->read(boot)->size(), 1U);
    EXPECT_FALSE(fs::exists(folder_ + "/workers.json.99.tmp"));
}

TEST_F(WorkerStateFileTest, AFileThatOthersMayWriteIsNotBelieved) {
    const auto file = WorkerStateFile::open(folder_);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(encode_slots(list_of(running()), boot)));
    fs::permissions(folder_ + "/workers.json", fs::perms(0644));
    EXPECT_EQ(file->read(boot).error().code, Errc::forbidden);
}

} // namespace
} // namespace rbee::hive
