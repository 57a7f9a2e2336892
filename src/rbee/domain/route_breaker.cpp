#include "rbee/domain/route_breaker.hpp"

#include <algorithm>

namespace rbee::domain {
namespace {

constexpr std::uint64_t whole = 100;

/// `time`, up to `percent` more or less; in steps of a ten-thousandth of the span.
Duration jittered(Duration time, std::uint32_t percent, std::uint64_t random) {
    constexpr auto steps = static_cast<std::int64_t>(RouteBreaker::no_jitter);
    const Duration most = time * percent / static_cast<std::int64_t>(whole);
    const auto step = static_cast<std::int64_t>(random % (2 * steps + 1)) - steps;
    return time + most / steps * step;
}

} // namespace

std::string_view to_string(RouteBreaker::State state) {
    switch (state) {
    case RouteBreaker::State::closed:
        return "closed";
    case RouteBreaker::State::open:
        return "open";
    case RouteBreaker::State::half_open:
        return "half_open";
    case RouteBreaker::State::ramping:
        break;
    }
    return "ramping";
}

bool RouteBreaker::blocked(TimePoint now) const {
    return (state_ == State::open || state_ == State::half_open) && now < until_;
}

bool RouteBreaker::admits(TimePoint now) const {
    return !blocked(now) && (state_ != State::ramping || ramp_running_ < ramp_limit_);
}

void RouteBreaker::enter(State state) {
    state_ = state;
    ++epoch_;
    ramp_running_ = 0;
}

RouteBreaker::Pass RouteBreaker::begin(TimePoint now) {
    if (state_ == State::closed || blocked(now)) {
        return {epoch_, false};
    }
    if (state_ == State::ramping) {
        ++ramp_running_;
        return {epoch_, false};
    }
    enter(State::half_open);
    until_ = now + rules_.probe_max;
    return {epoch_, true};
}

void RouteBreaker::succeeded(Pass pass, TimePoint now) {
    if (!current(pass)) {
        return;
    }
    switch (state_) {
    case State::closed:
        in_a_row_ = 0;
        calls_.add(now);
        break;
    case State::open:
    case State::half_open:
        enter(State::ramping);
        ramp_limit_ = 1;
        break;
    case State::ramping:
        --ramp_running_;
        ramp_limit_ *= 2;
        if (ramp_limit_ > rules_.ramp_max) {
            close(now);
        }
        break;
    }
}

bool RouteBreaker::failed(Pass pass, TimePoint now, std::uint64_t random) {
    if (!current(pass) || state_ == State::open) {
        return false; // it is known already; calls on a blocked way do not make it worse
    }
    if (state_ == State::closed) {
        ++in_a_row_;
        calls_.add(now);
        faults_.add(now);
        if (!too_many(now)) {
            return false;
        }
    }
    open(now, random);
    return true;
}

void RouteBreaker::abandoned(Pass pass) {
    if (!current(pass)) {
        return;
    }
    if (state_ == State::ramping) {
        --ramp_running_;
    } else if (pass.probe) {
        enter(State::open); // its time is over: the next call is the probe
        until_ = TimePoint::min();
    }
}

void RouteBreaker::reset() {
    enter(State::closed);
    in_a_row_ = 0;
    openings_ = 0;
    calls_.clear();
    faults_.clear();
}

bool RouteBreaker::too_many(TimePoint now) {
    const std::uint64_t calls = calls_.sum(now);
    return in_a_row_ >= rules_.in_a_row ||
           (calls >= rules_.calls_min && faults_.sum(now) * whole >= calls * rules_.fault_percent);
}

void RouteBreaker::open(TimePoint now, std::uint64_t random) {
    if (state_ == State::closed && openings_ > 0) {
        const auto calm = std::max<Duration>(now - closed_since_, Duration::zero());
        const auto forgiven = static_cast<std::uint64_t>(calm / rules_.forgiven_after);
        openings_ -= static_cast<std::uint32_t>(std::min<std::uint64_t>(forgiven, openings_));
    }
    const auto openings_max = static_cast<std::uint32_t>(rules_.open_max / rules_.open) + 1;
    openings_ = std::min(openings_ + 1, openings_max);
    const Duration time = jittered(rules_.open * openings_, rules_.jitter_percent, random);
    enter(State::open);
    until_ = now + std::min(time, rules_.open_max);
}

void RouteBreaker::close(TimePoint now) {
    enter(State::closed);
    in_a_row_ = 0;
    calls_.clear();
    faults_.clear();
    closed_since_ = now;
}

} // namespace rbee::domain
