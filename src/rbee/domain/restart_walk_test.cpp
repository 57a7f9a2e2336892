// Random walks of restart policy and circuit breaker together, as a hive uses them, against a
// second description of the same rules that is written the other way round: it keeps no state but
// what happened, and looks back.
#include "rbee/domain/circuit_breaker.hpp"
#include "rbee/domain/restart_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace rbee::domain {
namespace {

using Action = RestartDecision::Action;
using State = CircuitBreaker::State;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

std::int64_t ms(Duration duration) {
    return std::chrono::duration_cast<milliseconds>(duration).count();
}

/// What happened to one breaker.
struct History {
    enum class Kind { failure, opened, trial, closed, forced_closed, abandoned };
    struct Event {
        Kind kind;
        std::int64_t at;
        std::int64_t value = 0; ///< opened: until when; trial: its number.
    };
    std::vector<Event> events;

    [[nodiscard]] const Event* last_change() const {
        const auto found = std::find_if(events.rbegin(), events.rend(), [](const Event& event) {
            return event.kind != Kind::failure;
        });
        return found == events.rend() ? nullptr : &*found;
    }
    [[nodiscard]] bool closed() const {
        const Event* last = last_change();
        return last == nullptr || last->kind == Kind::closed || last->kind == Kind::forced_closed;
    }
    [[nodiscard]] bool on_trial(std::uint64_t trial) const {
        const Event* last = last_change();
        return last != nullptr && last->kind == Kind::trial &&
               static_cast<std::uint64_t>(last->value) == trial;
    }
    [[nodiscard]] bool may_start(std::int64_t now) const {
        const Event* last = last_change();
        if (closed()) {
            return true;
        }
        return last->kind == Kind::abandoned || (last->kind == Kind::opened && now >= last->value);
    }
    /// Failures since the last change that are younger than the window.
    [[nodiscard]] std::size_t failures(std::int64_t now, std::int64_t window) const {
        std::size_t count = 0;
        for (auto at = events.rbegin(); at != events.rend() && at->kind == Kind::failure; ++at) {
            count += now - at->at < window ? 1U : 0U;
        }
        return count;
    }
    /// The cooldown of the next opening, by all that happened since the last forced closing.
    [[nodiscard]] double cooldown(std::int64_t now, const BreakerRules& rules) const {
        const auto base = static_cast<double>(ms(rules.cooldown));
        const auto most = static_cast<double>(ms(rules.cooldown_max));
        double cooldown = base;
        std::optional<std::int64_t> calm_since;
        bool trial = false;
        const auto calm_down = [&](std::int64_t at) {
            if (calm_since) {
                const double hours =
                    std::floor(static_cast<double>(at - *calm_since) / 3'600'000.0);
                cooldown = std::max(base, cooldown * std::pow(0.5, hours));
            }
        };
        for (const Event& event : events) {
            switch (event.kind) {
            case Kind::forced_closed:
                cooldown = base;
                trial = false;
                break;
            case Kind::closed:
                calm_since = event.at;
                trial = false;
                break;
            case Kind::trial:
                trial = true;
                break;
            case Kind::opened:
                if (trial) {
                    cooldown = std::min(cooldown * 2, most);
                } else {
                    calm_down(event.at);
                }
                trial = false;
                break;
            default:
                break;
            }
        }
        if (trial) {
            return std::min(cooldown * 2, most);
        }
        calm_down(now);
        return cooldown;
    }
};

/// One worker as a hive keeps it.
struct Slot {
    explicit Slot(RestartRules rules) : policy(rules) {}
    RestartPolicy policy;
    bool alive = false;
    bool final = false;
    std::uint64_t trial = 0;
    std::int64_t due = 0;
    // What the second description knows.
    std::uint32_t in_a_row = 0;
    bool oom_before = false;
    std::optional<std::int64_t> ready;
};

class Walk {
public:
    explicit Walk(std::uint64_t seed) : random_(seed) {
        for (int i = 0; i < 3; ++i) {
            slots_.emplace_back(rules_);
        }
    }

    void run(int steps) {
        for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) {
            pass_time();
            step(slots_[below(slots_.size())]);
            check();
        }
    }

    std::uint64_t restarts = 0;
    std::uint64_t openings = 0;
    std::uint64_t trials = 0;

private:
    std::uint64_t below(std::uint64_t end) { return random_() % end; }
    [[nodiscard]] TimePoint now() const { return TimePoint(milliseconds(now_)); }

    void pass_time() {
        static constexpr std::array<std::int64_t, 10> steps = {
            0, 0, 1, 800, 1200, 5'000, 60'000, 299'999, 300'000, 3'600'000
        };
        now_ += steps.at(below(steps.size()));
        const History::Event* last = history_.last_change();
        if (below(3) == 0 && last != nullptr && last->kind == History::Kind::opened) {
            now_ = std::max<std::int64_t>(now_, last->value - static_cast<std::int64_t>(below(2)));
        }
    }

    void step(Slot& slot) {
        if (slot.alive) {
            live(slot);
            return;
        }
        if (slot.final && below(8) == 0) { // somebody restarts it by hand
            breaker_.close();
            history_.events.push_back({History::Kind::forced_closed, now_});
            slot.policy.forgive();
            slot.in_a_row = 0;
            slot.oom_before = false;
            slot.final = false;
            slot.due = now_;
        }
        if (!slot.final && now_ >= slot.due) {
            start(slot);
        }
    }

    void start(Slot& slot) {
        const bool expected = history_.may_start(now_);
        const bool was_closed = history_.closed();
        ASSERT_EQ(breaker_.peek(now()).allowed, expected);
        const auto permit = breaker_.admit(now());
        ASSERT_EQ(permit.allowed, expected);
        if (!expected) {
            ASSERT_GT(permit.retry_at, now());
            return;
        }
        ASSERT_EQ(permit.trial != 0, !was_closed);
        if (!was_closed) {
            ++trials;
            history_.events.push_back(
                {History::Kind::trial, now_, static_cast<std::int64_t>(permit.trial)}
            );
        }
        ++restarts;
        slot.trial = permit.trial;
        slot.alive = true;
        slot.ready.reset();
    }

    void live(Slot& slot) {
        switch (below(8)) {
        case 0:
        case 1:
            if (!slot.ready) {
                slot.policy.ready(now());
                slot.ready = now_;
            }
            return;
        case 2:
            proven(slot);
            return;
        case 3:
            end(slot, ExitKind::out_of_memory);
            return;
        case 4:
            end(slot, below(4) == 0 ? ExitKind::configuration : ExitKind::clean);
            return;
        case 5:
            end(slot, below(4) == 0 ? ExitKind::asked_for : ExitKind::crash);
            return;
        default:
            end(slot, ExitKind::crash);
        }
    }

    void proven(Slot& slot) {
        const bool closes = slot.trial != 0 && history_.on_trial(slot.trial);
        ASSERT_EQ(breaker_.succeeded(slot.trial, now()), closes);
        if (closes) {
            history_.events.push_back({History::Kind::closed, now_});
        }
        if (std::exchange(slot.trial, 0U) != 0) {
            slot.policy.forgive();
            slot.in_a_row = 0;
            slot.oom_before = false;
        }
    }

    void end(Slot& slot, ExitKind kind) {
        slot.alive = false;
        if (slot.ready && now_ - *slot.ready >= ms(rules_.stable)) {
            slot.in_a_row = 0;
            slot.oom_before = false;
        }
        const RestartDecision got = slot.policy.exited(kind, now(), random_());
        check_decision(slot, kind, got);
        const std::uint64_t trial = std::exchange(slot.trial, 0U);
        if (kind == ExitKind::asked_for || kind == ExitKind::configuration) {
            const bool gave_back = history_.on_trial(trial);
            breaker_.abandoned(trial, now());
            if (gave_back) {
                history_.events.push_back({History::Kind::abandoned, now_});
            }
        } else {
            fail(trial, got.action == Action::exhausted);
        }
        slot.final = got.action == Action::none || got.action == Action::hopeless;
        slot.due = now_ + got.delay.count();
    }

    void fail(std::uint64_t trial, bool exhausted) {
        const bool closed = history_.closed();
        const bool on_trial = history_.on_trial(trial);
        const std::size_t count = history_.failures(now_, ms(breaker_rules_.window)) + 1;
        const bool opens = on_trial || (closed && count >= breaker_rules_.failures);
        const double cooldown = history_.cooldown(now_, breaker_rules_);
        ASSERT_EQ(breaker_.failed(trial, now(), random_()), opens);
        if (closed && !opens) {
            history_.events.push_back({History::Kind::failure, now_});
        }
        bool opened = opens;
        if (exhausted) {
            const bool tripped = breaker_.trip(now(), random_());
            ASSERT_EQ(tripped, closed && !opens);
            opened = opened || tripped;
        }
        if (opened) {
            ++openings;
            const std::int64_t until = ms(breaker_.peek(now()).retry_at.time_since_epoch());
            const auto drawn = static_cast<double>(until - now_);
            const auto most = static_cast<double>(ms(breaker_rules_.cooldown_max));
            ASSERT_GE(drawn, std::min(cooldown * 0.8, most) - 2);
            ASSERT_LE(drawn, std::min(cooldown * 1.2, most) + 2);
            history_.events.push_back({History::Kind::opened, now_, until});
        }
    }

    void check_decision(Slot& slot, ExitKind kind, const RestartDecision& got) {
        const bool oom_again = slot.oom_before && kind == ExitKind::out_of_memory;
        if (kind == ExitKind::asked_for) {
            ASSERT_EQ(got.action, Action::none);
            return;
        }
        slot.oom_before = kind == ExitKind::out_of_memory;
        if (kind == ExitKind::configuration || oom_again) {
            ASSERT_EQ(got.action, Action::hopeless);
            return;
        }
        if (slot.in_a_row == rules_.attempts_max) {
            ASSERT_EQ(got.action, Action::exhausted);
            return;
        }
        ASSERT_EQ(got.action, Action::restart);
        const double nominal = std::min(std::pow(2.0, slot.in_a_row) * 1000, 60'000.0);
        ASSERT_GE(static_cast<double>(got.delay.count()), nominal * 0.8 - 1);
        ASSERT_LE(static_cast<double>(got.delay.count()), std::min(nominal * 1.2, 60'000.0) + 1);
        ++slot.in_a_row;
        ASSERT_EQ(got.attempt, slot.in_a_row);
    }

    void check() {
        ASSERT_EQ(breaker_.state() == State::closed, history_.closed());
        const auto trials_now = std::ranges::count_if(slots_, [this](const Slot& slot) {
            return slot.alive && slot.trial != 0 && history_.on_trial(slot.trial);
        });
        ASSERT_LE(trials_now, 1);
        ASSERT_EQ(trials_now == 1, breaker_.state() == State::half_open);
        for (const Slot& slot : slots_) {
            ASSERT_EQ(slot.policy.history().attempts <= rules_.attempts_max, true);
        }
    }

    std::mt19937_64 random_;
    RestartRules rules_;
    BreakerRules breaker_rules_;
    CircuitBreaker breaker_{breaker_rules_};
    std::vector<Slot> slots_;
    History history_;
    std::int64_t now_ = 1'000'000;
};

TEST(RestartWalkTest, A_second_description_of_the_rules_agrees_at_every_step) {
    const char* wanted = std::getenv("RBEE_RESTART_WALKS"); // NOLINT(concurrency-mt-unsafe)
    const std::uint64_t walks = wanted != nullptr ? std::stoull(wanted) : 20'000;
    std::uint64_t restarts = 0;
    std::uint64_t openings = 0;
    std::uint64_t trials = 0;
    for (std::uint64_t seed = 1; seed <= walks; ++seed) {
        Walk walk(seed);
        walk.run(60);
        ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
        restarts += walk.restarts;
        openings += walk.openings;
        trials += walk.trials;
    }
    RecordProperty("walks", std::to_string(walks));
    RecordProperty("starts", std::to_string(restarts));
    RecordProperty("openings", std::to_string(openings));
    RecordProperty("trials", std::to_string(trials));
    EXPECT_GT(openings, walks / 10) << "the walks reach what they are for";
    EXPECT_GT(trials, walks / 10);
}

} // namespace
} // namespace rbee::domain
