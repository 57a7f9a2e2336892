#include "rbee/domain/progress_watch.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace rbee::domain {
namespace {

/// Growth below this may be anything: a log line, a buffer.
constexpr std::uint64_t load_bytes_step = 1U << 20U;
/// Share of a new gap in the average: 1 / this.
constexpr int average_weight = 8;
/// A few beats: a shorter silence says nothing.
constexpr Duration silence_min = std::chrono::seconds(2);

} // namespace

std::string Stall::describe(const ProgressSigns& signs) const {
    const double seconds = std::chrono::duration<double>(still).count();
    switch (kind) {
    case Kind::working:
        return fmt::format(
            "no progress for {:.1f} s at step {} with {} answers owed",
            seconds,
            signs.steps,
            signs.owed
        );
    case Kind::deaf:
        return fmt::format(
            "its event loop has stood still for {:.1f} s with {} requests", seconds, signs.in_flight
        );
    case Kind::silent:
        return fmt::format("no heartbeat for {:.1f} s", seconds);
    case Kind::loading:
        return fmt::format("LOADING_TIMEOUT: no progress of the load for {:.1f} s", seconds);
    case Kind::load_time:
        break;
    }
    return fmt::format("LOADING_TIMEOUT: not loaded after {:.1f} s", seconds);
}

ProgressWatch::ProgressWatch(TimePoint started, ProgressLimits limits)
    : limits_(limits), started_(started), looked_(started), advanced_(started), beaten_(started),
      asked_(started) {}

std::optional<Stall> ProgressWatch::look(TimePoint now, const ProgressSigns& signs) {
    if (now - looked_ > limits_.look_gap) {
        forgive(now);
    }
    looked_ = now;
    std::optional<Stall> stall =
        signs.loading ? look_at_load(now, signs) : look_at_loop(now, signs);
    const std::optional<Stall> quiet = look_at_beats(now, signs);
    seen_.loading = signs.loading;
    seen_.owed = signs.owed;
    seen_.in_flight = signs.in_flight;
    return stall ? stall : quiet;
}

Duration ProgressWatch::step_limit(const ProgressSigns& signs) const {
    return std::max({limits_.stall, average_ * limits_.step_factor, signs.patience});
}

void ProgressWatch::forgive(TimePoint now) {
    advanced_ = now;
    beaten_ = now;
    asked_ = now;
}

void ProgressWatch::learn(Duration gap) {
    average_ += (gap - average_) / average_weight;
}

std::optional<Stall> ProgressWatch::look_at_load(TimePoint now, const ProgressSigns& signs) {
    const bool moved =
        signs.steps != seen_.steps || signs.load_bytes >= seen_.load_bytes + load_bytes_step;
    if (moved) {
        seen_.steps = signs.steps;
        seen_.load_bytes = std::max(seen_.load_bytes, signs.load_bytes);
        advanced_ = now;
    }
    if (now - started_ >= limits_.load_total) {
        return Stall{Stall::Kind::load_time, now - started_};
    }
    if (now - advanced_ >= limits_.load_stall) {
        return Stall{Stall::Kind::loading, now - advanced_};
    }
    return std::nullopt;
}

std::optional<Stall> ProgressWatch::look_at_loop(TimePoint now, const ProgressSigns& signs) {
    const bool was_due = !seen_.loading && seen_.owed > 0;
    const bool moved = signs.steps != seen_.steps;
    seen_.steps = signs.steps;
    if (moved && was_due) {
        learn(now - advanced_);
    }
    if (moved || !was_due || signs.owed == 0) {
        advanced_ = now;
        return std::nullopt;
    }
    if (limits_.stall > Duration::zero() && now - advanced_ >= step_limit(signs)) {
        return Stall{Stall::Kind::working, now - advanced_};
    }
    return std::nullopt;
}

std::optional<Stall> ProgressWatch::look_at_beats(TimePoint now, const ProgressSigns& signs) {
    if (signs.beats != seen_.beats) {
        seen_.beats = signs.beats;
        beaten_ = now;
    }
    if (signs.in_flight == 0 || seen_.in_flight == 0) {
        asked_ = now;
    }
    // Before the request came, silence was no fault: it counts from then.
    const Duration deaf = now - std::max(beaten_, asked_);
    if (limits_.stall > Duration::zero() && signs.in_flight > 0 &&
        deaf >= std::max(limits_.stall, silence_min)) {
        return Stall{Stall::Kind::deaf, deaf};
    }
    if (limits_.heartbeat > Duration::zero() && now - beaten_ >= limits_.heartbeat) {
        return Stall{Stall::Kind::silent, now - beaten_};
    }
    return std::nullopt;
}

} // namespace rbee::domain
