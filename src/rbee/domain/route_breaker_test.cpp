#include "rbee/domain/route_breaker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace rbee::domain {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = RouteBreaker::State;

constexpr std::uint64_t no_jitter = RouteBreaker::no_jitter;

class RouteBreakerTest : public testing::Test {
protected:
    bool fault() { return breaker_.failed(breaker_.begin(now_), now_, no_jitter); }
    void success() { breaker_.succeeded(breaker_.begin(now_), now_); }
    void open() {
        while (breaker_.state() != State::open) {
            fault();
        }
    }
    void advance(Duration time) { now_ += time; }

    TimePoint now_ = TimePoint(std::chrono::hours(1));
    RouteBreaker breaker_;
};

TEST_F(RouteBreakerTest, ThreeFaultsInARowOpenIt) {
    EXPECT_FALSE(fault());
    EXPECT_FALSE(fault());
    success();
    EXPECT_FALSE(fault());
    EXPECT_FALSE(fault());
    EXPECT_TRUE(breaker_.admits(now_));
    EXPECT_TRUE(fault());
    EXPECT_FALSE(breaker_.admits(now_));
    EXPECT_TRUE(breaker_.blocked(now_));
    EXPECT_EQ(breaker_.until(), now_ + seconds(5));
}

TEST_F(RouteBreakerTest, HalfOfTenCallsInAMinuteOpenIt) {
    for (int i = 0; i < 4; ++i) {
        EXPECT_FALSE(fault());
        success();
    }
    success();
    EXPECT_TRUE(fault()); // the tenth call, the fifth fault
}

TEST_F(RouteBreakerTest, OldFaultsAreForgotten) {
    for (int i = 0; i < 4; ++i) {
        EXPECT_FALSE(fault());
        success();
    }
    advance(seconds(61));
    success();
    EXPECT_FALSE(fault());
}

TEST_F(RouteBreakerTest, OneProbeThenOneTwoFourThenAll) {
    open();
    advance(seconds(5));
    EXPECT_TRUE(breaker_.admits(now_));
    const auto probe = breaker_.begin(now_);
    EXPECT_TRUE(probe.probe);
    EXPECT_FALSE(breaker_.admits(now_)) << "there is a probe already";
    breaker_.succeeded(probe, now_);
    for (const int room : {1, 2, 4}) {
        EXPECT_EQ(breaker_.state(), State::ramping);
        std::vector<RouteBreaker::Pass> passes;
        for (int i = 0; i < room; ++i) {
            ASSERT_TRUE(breaker_.admits(now_)) << room;
            passes.push_back(breaker_.begin(now_));
        }
        EXPECT_FALSE(breaker_.admits(now_)) << room;
        EXPECT_FALSE(breaker_.blocked(now_)) << room;
        for (std::size_t i = 1; i < passes.size(); ++i) {
            breaker_.abandoned(passes[i]);
        }
        breaker_.succeeded(passes.front(), now_);
    }
    EXPECT_EQ(breaker_.state(), State::closed);
}

TEST_F(RouteBreakerTest, EachOpeningIsLongerUpToACap) {
    open();
    for (int n = 1; n <= 70; ++n) {
        EXPECT_EQ(breaker_.until() - now_, std::min<Duration>(seconds(5) * n, seconds(300))) << n;
        now_ = breaker_.until();
        EXPECT_TRUE(fault()) << "a probe that fails";
    }
}

TEST_F(RouteBreakerTest, GoodMinutesTakeOpeningsBack) {
    open();
    now_ = breaker_.until();
    EXPECT_TRUE(fault());
    now_ = breaker_.until();
    while (breaker_.state() != State::closed) {
        success();
    }
    advance(seconds(60));
    open();
    EXPECT_EQ(breaker_.until() - now_, seconds(10)) << "the second that counts";
}

TEST_F(RouteBreakerTest, JitterStaysWithinAFifthAndBelowTheCap) {
    std::mt19937_64 random(7); // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
    Duration least = seconds(1000);
    Duration most{};
    for (int i = 0; i < 10'000; ++i) {
        RouteBreaker breaker;
        while (breaker.state() != State::open) {
            breaker.failed(breaker.begin(now_), now_, random());
        }
        least = std::min(least, breaker.until() - now_);
        most = std::max(most, breaker.until() - now_);
    }
    EXPECT_GE(least, seconds(4));
    EXPECT_LT(least, milliseconds(4010));
    EXPECT_LE(most, seconds(6));
    EXPECT_GT(most, milliseconds(5990));
}

TEST_F(RouteBreakerTest, ProbeThatNeverEndsGivesItsTurnAwayAndCountsNoMore) {
    open();
    advance(seconds(5));
    const auto lost = breaker_.begin(now_);
    advance(seconds(30));
    ASSERT_TRUE(breaker_.admits(now_));
    const auto second = breaker_.begin(now_);
    EXPECT_FALSE(breaker_.failed(lost, now_, no_jitter));
    breaker_.abandoned(lost);
    EXPECT_EQ(breaker_.state(), State::half_open);
    EXPECT_FALSE(breaker_.admits(now_));
    breaker_.succeeded(second, now_);
    EXPECT_EQ(breaker_.state(), State::ramping);
}

TEST_F(RouteBreakerTest, ProbeThatSaysNothingLetsTheNextOneGo) {
    open();
    advance(seconds(5));
    breaker_.abandoned(breaker_.begin(now_));
    EXPECT_TRUE(breaker_.admits(now_));
    EXPECT_TRUE(breaker_.begin(now_).probe);
}

TEST_F(RouteBreakerTest, GoodCallOnABlockedWayCountsAsAProbe) {
    open();
    const auto forced = breaker_.begin(now_);
    EXPECT_FALSE(forced.probe);
    EXPECT_FALSE(breaker_.failed(breaker_.begin(now_), now_, no_jitter)) << "it is open already";
    breaker_.succeeded(forced, now_);
    EXPECT_EQ(breaker_.state(), State::ramping);
}

TEST_F(RouteBreakerTest, ResetForgetsAndIgnoresWhatWasBegunBefore) {
    fault();
    fault();
    const auto before = breaker_.begin(now_);
    breaker_.reset();
    EXPECT_FALSE(breaker_.failed(before, now_, no_jitter));
    EXPECT_FALSE(fault());
    EXPECT_FALSE(fault());
    EXPECT_TRUE(fault());
    EXPECT_EQ(breaker_.until(), now_ + seconds(5));
}

/// The same rules written in another way: a history that is counted anew for each question.
class Model {
public:
    struct Call {
        std::size_t phase = 0;
        bool probe = false;
    };

    [[nodiscard]] State state() const { return phases_.back().state; }
    [[nodiscard]] bool blocked(TimePoint now) const {
        const Phase& here = phases_.back();
        return here.due.has_value() && now < *here.due;
    }
    [[nodiscard]] bool admits(TimePoint now) const {
        if (blocked(now)) {
            return false;
        }
        const Phase& here = phases_.back();
        return here.state != State::ramping || here.running < (1 << here.good);
    }
    Call begin(TimePoint now) {
        const bool waits = state() == State::open || state() == State::half_open;
        if (waits && !blocked(now)) {
            push(State::half_open, now + seconds(30));
            return {phases_.size(), true};
        }
        ++phases_.back().running;
        return {phases_.size(), false};
    }
    void end(Call call, char how, TimePoint now, std::uint64_t random) {
        if (call.phase != phases_.size()) {
            return;
        }
        Phase& here = phases_.back();
        --here.running;
        if (how == 'a') {
            if (here.state == State::half_open && call.probe) {
                push(State::open, TimePoint::min());
            }
            return;
        }
        const bool good = how == 's';
        switch (here.state) {
        case State::closed:
            here.history.push_back({now, good});
            if (!good && too_many(here.history, now)) {
                reopen(now, random);
            }
            break;
        case State::open:
        case State::half_open:
            if (good) {
                push(State::ramping, std::nullopt);
            } else if (here.state == State::half_open) {
                reopen(now, random);
            }
            break;
        case State::ramping:
            if (!good) {
                reopen(now, random);
            } else if (++here.good == 3) {
                push(State::closed, std::nullopt);
                closed_at_ = now;
            }
            break;
        }
    }
    [[nodiscard]] std::optional<TimePoint> due() const { return phases_.back().due; }

private:
    struct Event {
        TimePoint at;
        bool good;
    };
    struct Phase {
        State state = State::closed;
        std::optional<TimePoint> due;
        int running = 0;
        int good = 0;
        std::vector<Event> history;
    };
    static bool too_many(const std::vector<Event>& history, TimePoint now) {
        const auto last_good =
            std::ranges::find(history.rbegin(), history.rend(), true, &Event::good);
        if (std::distance(history.rbegin(), last_good) >= 3) {
            return true;
        }
        const auto part = [](TimePoint at) { return at.time_since_epoch() / seconds(10); };
        int calls = 0;
        int bad = 0;
        for (const Event& event : history) {
            if (part(event.at) > part(now) - 6) {
                ++calls;
                bad += event.good ? 0 : 1;
            }
        }
        return calls >= 10 && 2 * bad >= calls;
    }
    void reopen(TimePoint now, std::uint64_t random) {
        if (state() == State::closed) {
            times_ = std::max<std::int64_t>(times_ - (now - closed_at_) / seconds(60), 0);
        }
        times_ = std::min<std::int64_t>(times_ + 1, 61);
        const double share = 0.8 + 0.4 * static_cast<double>(random % 20'001) / 20'000;
        const double wanted = std::min(5.0 * static_cast<double>(times_) * share, 300.0);
        push(
            State::open,
            now + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(wanted))
        );
    }
    void push(State state, std::optional<TimePoint> due) {
        Phase next;
        next.state = state;
        next.due = due;
        phases_.push_back(std::move(next));
    }

    std::vector<Phase> phases_{Phase{}};
    TimePoint closed_at_;
    std::int64_t times_ = 0;
};

/// One walk of `steps` events; false at the first difference.
void walk(std::uint64_t seed, int steps) {
    std::mt19937_64 random(seed);
    TimePoint now(std::chrono::hours(1));
    RouteBreaker breaker;
    Model model;
    std::vector<std::pair<RouteBreaker::Pass, Model::Call>> running;
    const auto bias = random() % 100; // how often calls go wrong in this walk
    for (int step = 0; step < steps; ++step) {
        const auto dice = random() % 100;
        if (dice < 40 && running.size() < 12) {
            // Now and then the last way is used although it is blocked.
            if (breaker.admits(now) || random() % 8 == 0) {
                const auto pass = breaker.begin(now);
                const auto call = model.begin(now);
                ASSERT_EQ(pass.probe, call.probe) << seed << ' ' << step;
                running.emplace_back(pass, call);
            }
        } else if (dice < 85 && !running.empty()) {
            const auto at = static_cast<std::ptrdiff_t>(random() % running.size());
            const auto [pass, call] = running[static_cast<std::size_t>(at)];
            running.erase(running.begin() + at);
            const auto number = random();
            const char how = random() % 10 == 0 ? 'a' : random() % 100 < bias ? 'f' : 's';
            if (how == 's') {
                breaker.succeeded(pass, now);
            } else if (how == 'f') {
                breaker.failed(pass, now, number);
            } else {
                breaker.abandoned(pass);
            }
            model.end(call, how, now, number);
        } else {
            constexpr std::array spans = {1, 300, 4'000, 20'000, 90'000};
            now += milliseconds(random() % static_cast<std::uint64_t>(spans.at(random() % 5)));
        }
        ASSERT_EQ(breaker.state(), model.state()) << seed << ' ' << step;
        ASSERT_EQ(breaker.admits(now), model.admits(now)) << seed << ' ' << step;
        ASSERT_EQ(breaker.blocked(now), model.blocked(now)) << seed << ' ' << step;
        if (model.due() && *model.due() != TimePoint::min()) {
            ASSERT_LT(std::chrono::abs(breaker.until() - *model.due()), milliseconds(1));
        }
    }
}

TEST(RouteBreakerWalk, AgreesWithAnIndependentModel) {
    constexpr std::uint64_t walks = 2'000;
    for (std::uint64_t seed = 1; seed <= walks && !testing::Test::HasFatalFailure(); ++seed) {
        walk(seed, 500);
    }
}

} // namespace
} // namespace rbee::domain
