#include "rbee/hive/worker_choice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rbee::hive {
namespace {

using domain::WorkerState;

api::WorkerInfo worker(std::string id, std::string model, WorkerState state, std::uint32_t slots) {
    api::WorkerInfo out;
    out.id = std::move(id);
    out.model_ref = "file:/models/" + model + ".gguf";
    out.model = std::move(model);
    out.state = state;
    out.slots_available = slots;
    return out;
}

const std::vector<api::WorkerInfo> workers = {
    worker("a", "tiny", WorkerState::idle, 1),
    worker("b", "tiny", WorkerState::idle, 3),
    worker("c", "big", WorkerState::loading, 0),
    worker("d", "old", WorkerState::crashed, 0),
    worker("e", "full", WorkerState::busy, 0),
};

TEST(WorkerChoice, The_named_worker_wins) {
    EXPECT_EQ(*choose_worker(workers, {"a", "tiny"}), "a");
    EXPECT_EQ(choose_worker(workers, {"x", "tiny"}).error().wire_code, "WORKER_NOT_FOUND");
    EXPECT_EQ(choose_worker(workers, {"c", ""}).error().wire_code, "WORKER_NOT_READY");
    EXPECT_EQ(choose_worker(workers, {"d", ""}).error().wire_code, "WORKER_NOT_READY");
}

TEST(WorkerChoice, Of_several_the_one_with_most_free_slots) {
    EXPECT_EQ(*choose_worker(workers, {"", "tiny"}), "b");
    EXPECT_EQ(*choose_worker(workers, {"", "file:/models/tiny.gguf"}), "b");
}

TEST(WorkerChoice, A_full_worker_is_still_the_one_that_is_meant) {
    EXPECT_EQ(*choose_worker(workers, {"", "full"}), "e");
}

TEST(WorkerChoice, Loading_and_unknown_models_are_told_apart) {
    EXPECT_EQ(choose_worker(workers, {"", "big"}).error().wire_code, "WORKER_NOT_READY");
    const auto unknown = choose_worker(workers, {"", "other"});
    EXPECT_EQ(unknown.error().wire_code, "MODEL_NOT_FOUND");
    EXPECT_THAT(unknown.error().what, testing::HasSubstr("tiny"));
    EXPECT_EQ(choose_worker(workers, {"", "old"}).error().wire_code, "MODEL_NOT_FOUND");
}

TEST(WorkerChoice, Without_a_model_the_only_one_is_meant) {
    const std::vector<api::WorkerInfo> one = {worker("a", "tiny", WorkerState::idle, 1)};
    EXPECT_EQ(*choose_worker(one, {}), "a");
    const auto several = choose_worker(workers, {});
    EXPECT_EQ(several.error().code, Errc::invalid_argument);
    EXPECT_THAT(several.error().what, testing::HasSubstr("big, full, tiny"));
    EXPECT_EQ(choose_worker({}, {}).error().wire_code, "WORKER_NOT_READY");
}

TEST(WorkerChoice, Only_generation_needs_a_slot) {
    EXPECT_TRUE(needs_slot("/v1/chat/completions"));
    EXPECT_TRUE(needs_slot("/v1/embeddings"));
    EXPECT_FALSE(needs_slot("/tokenize"));
    EXPECT_FALSE(needs_slot("/v1/messages/count_tokens"));
}

} // namespace
} // namespace rbee::hive
