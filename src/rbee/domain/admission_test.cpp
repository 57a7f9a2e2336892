#include "rbee/domain/admission.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace rbee::domain {
namespace {

using Outcome = Admission::Outcome;
using Ticket = Admission::Ticket;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

Wanted want(std::string model) {
    return {std::move(model), {}};
}

/// Slots of each model: how many there are and how many are taken.
struct Slots {
    std::map<std::string, int> total;
    std::map<std::string, int> given;

    Admission::Place place() {
        return [this](const Admission::Waiter& waiter) {
            int& taken = given[waiter.wanted.model];
            const bool free = taken < total[waiter.wanted.model];
            taken += free ? 1 : 0;
            return free;
        };
    }
};

TEST(Admission, GrantsAtOnceWhenThereIsRoom) {
    Admission line({.capacity = 1, .wait_max = seconds(10)});
    Slots slots;
    slots.total["a"] = 1;
    EXPECT_EQ(line.admit(line.make_waiter(want("a"), {}), slots.place()), Outcome::granted);
    EXPECT_EQ(line.waiting(), 0U);
}

TEST(Admission, RefusesWhenFullButNotWhatCouldRun) {
    Admission line({.capacity = 1, .wait_max = seconds(10)});
    Slots slots;
    slots.total["b"] = 1;
    EXPECT_EQ(line.admit(line.make_waiter(want("a"), {}), slots.place()), Outcome::waiting);
    const auto full = line.admit(line.make_waiter(want("a"), {}), slots.place());
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().wire_code, "QUEUE_FULL");
    EXPECT_EQ(full.error().code, Errc::busy);
    EXPECT_EQ(line.admit(line.make_waiter(want("b"), {}), slots.place()), Outcome::granted);
}

TEST(Admission, ServesInOrderAndKeepsThePlaceOfWhoComesBack) {
    Admission line({.capacity = 9, .wait_max = seconds(10)});
    Slots slots;
    slots.total["a"] = 1;
    const auto first = line.make_waiter(want("a"), {});
    const auto second = line.make_waiter(want("a"), {});
    EXPECT_EQ(line.admit(first, slots.place()), Outcome::granted);
    EXPECT_EQ(line.admit(second, slots.place()), Outcome::waiting);
    EXPECT_EQ(line.readmit(first, slots.place()), Outcome::waiting);
    slots.total["a"] = 2;
    EXPECT_THAT(line.grant(slots.place()), ElementsAre(first.ticket));
    slots.total["a"] = 3;
    EXPECT_THAT(line.grant(slots.place()), ElementsAre(second.ticket));
}

TEST(Admission, OneModelNeverHoldsUpAnother) {
    Admission line({.capacity = 9, .wait_max = seconds(10)});
    Slots slots;
    const auto stuck = line.make_waiter(want("a"), {});
    const auto lucky = line.make_waiter(want("b"), {});
    ASSERT_TRUE(line.admit(stuck, slots.place()));
    ASSERT_TRUE(line.admit(lucky, slots.place()));
    slots.total["b"] = 1;
    EXPECT_THAT(line.grant(slots.place()), ElementsAre(lucky.ticket));
}

TEST(Admission, LeavingMakesRoom) {
    Admission line({.capacity = 1, .wait_max = seconds(10)});
    Slots slots;
    const TimePoint start;
    const auto waiter = line.make_waiter(want("a"), start);
    EXPECT_EQ(waiter.due, start + seconds(10));
    EXPECT_EQ(line.admit(waiter, slots.place()), Outcome::waiting);
    EXPECT_TRUE(line.leave(waiter.ticket));
    EXPECT_FALSE(line.leave(waiter.ticket));
    EXPECT_THAT(line.grant(slots.place()), IsEmpty());
    EXPECT_EQ(line.admit(line.make_waiter(want("a"), start), slots.place()), Outcome::waiting);
}

/// Slots come and go, clients come and leave. After every step, with grant() called after each
/// event that makes room: no waiter could run (no lost wake-up), the bound holds, and grants of one
/// model are in order of arrival.
TEST(Admission, PropertyNoLostWakeUpNoOvertakingNoOverflow) {
    EXPECT_TRUE(rc::check("admission", [] {
        const auto capacity = *rc::gen::inRange<std::size_t>(1, 6);
        Admission line({.capacity = capacity, .wait_max = seconds(1000)});
        Slots slots;
        std::map<std::string, Ticket> newest_grant;
        const std::vector<std::string> models = {"a", "b", "c"};
        std::map<Ticket, std::string> model_of;
        const auto note = [&](Ticket ticket) {
            Ticket& newest = newest_grant[model_of.at(ticket)];
            RC_ASSERT(newest < ticket);
            newest = ticket;
        };
        const auto steps = *rc::gen::inRange(1, 60);
        for (int step = 0; step < steps; ++step) {
            const std::string& model = models.at(*rc::gen::inRange<std::size_t>(0, 3));
            switch (*rc::gen::inRange(0, 4)) {
            case 0:
            case 1: {
                const auto waiter = line.make_waiter(want(model), {});
                model_of[waiter.ticket] = model;
                const auto outcome = line.admit(waiter, slots.place());
                if (outcome && *outcome == Outcome::granted) {
                    note(waiter.ticket);
                }
                RC_ASSERT(outcome.has_value() || line.waiting() == capacity);
                break;
            }
            case 2:
                ++slots.total[model];
                std::ranges::for_each(line.grant(slots.place()), note);
                break;
            default:
                if (line.waiting() != 0) {
                    line.leave(line.line().begin()->first);
                }
                break;
            }
            RC_ASSERT(line.waiting() <= capacity);
            for (const auto& [ticket, waiter] : line.line()) {
                RC_ASSERT(slots.given[waiter.wanted.model] == slots.total[waiter.wanted.model]);
            }
        }
    }));
}

} // namespace
} // namespace rbee::domain
