#include "rbee/domain/placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace rbee::domain {
namespace {

const std::vector<std::string> tiny = {"tiny", "file:/m/tiny.gguf"};
const std::vector<std::string> other = {"other"};

Candidate
worker(std::string_view id, std::string_view hive, std::uint32_t slots, std::uint32_t used) {
    return {id, hive, tiny, true, slots, used};
}

Wanted want(std::string model) {
    return {std::move(model), {}};
}

TEST(Placement, MatchesShortNameAndReference) {
    const std::vector pool = {worker("a", "h", 1, 0)};
    EXPECT_EQ(choose_worker(pool, want("tiny"), 0), 0U);
    EXPECT_EQ(choose_worker(pool, want("file:/m/tiny.gguf"), 0), 0U);
    EXPECT_EQ(choose_worker(pool, want("tin"), 0), std::nullopt);
}

TEST(Placement, TakesTheSmallestShareOfSlotsInUse) {
    const std::vector pool = {
        worker("a", "h", 4, 2), worker("b", "h", 8, 3), worker("c", "h", 1, 1)
    };
    EXPECT_EQ(choose_worker(pool, want("tiny"), 0), 1U);
}

TEST(Placement, SpreadsOverHives) {
    std::vector pool = {worker("a", "h1", 4, 0), worker("b", "h1", 4, 1), worker("c", "h2", 4, 0)};
    EXPECT_EQ(choose_worker(pool, want("tiny"), 0), 2U);
    EXPECT_EQ(choose_worker(pool, want("tiny"), 1), 2U);
}

TEST(Placement, TakesTurnsAmongEquals) {
    const std::vector pool = {worker("a", "h1", 2, 0), worker("b", "h2", 2, 0)};
    EXPECT_EQ(choose_worker(pool, want("tiny"), 6), 0U);
    EXPECT_EQ(choose_worker(pool, want("tiny"), 7), 1U);
}

TEST(Placement, KeepsToTheHive) {
    const std::vector pool = {worker("a", "h1", 2, 0), worker("b", "h2", 2, 1)};
    EXPECT_EQ(choose_worker(pool, {"tiny", "h2"}, 0), 1U);
    EXPECT_EQ(choose_worker(pool, {"tiny", "h3"}, 0), std::nullopt);
}

/// The specification in a few plain lines: a choice is right when it has room and no other with
/// room is less busy.
TEST(Placement, PropertyNobodyWithRoomIsLessBusy) {
    EXPECT_TRUE(rc::check("least busy with room", [] {
        const auto count = *rc::gen::inRange<std::size_t>(0, 9);
        std::vector<std::string> ids;
        std::vector<Candidate> pool;
        ids.reserve(2 * count);
        for (std::size_t i = 0; i < count; ++i) {
            ids.push_back("w" + std::to_string(i));
            ids.push_back("h" + std::to_string(*rc::gen::inRange(0, 3)));
            Candidate one;
            one.worker_id = ids[2 * i];
            one.hive = ids[2 * i + 1];
            one.names = *rc::gen::inRange(0, 4) == 0 ? other : tiny;
            one.usable = *rc::gen::inRange(0, 4) != 0;
            one.slots_total = *rc::gen::inRange(0U, 5U);
            one.in_flight = *rc::gen::inRange(0U, 6U);
            pool.push_back(one);
        }
        const auto room = [](const Candidate& c) {
            return c.usable && c.names.front() == "tiny" && c.in_flight < c.slots_total;
        };
        const auto turn = *rc::gen::arbitrary<std::uint64_t>();
        const auto chosen = choose_worker(pool, want("tiny"), turn);
        RC_ASSERT(chosen.has_value() == std::ranges::any_of(pool, room));
        if (chosen) {
            const Candidate& best = pool.at(*chosen);
            RC_ASSERT(room(best));
            for (const Candidate& c : pool) {
                RC_ASSERT(
                    !room(c) || best.in_flight * c.slots_total <= c.in_flight * best.slots_total
                );
            }
            RC_ASSERT(chosen == choose_worker(pool, want("tiny"), turn));
        }
    }));
}

} // namespace
} // namespace rbee::domain
