#include "rbee/domain/circuit_breaker.hpp"

#include "rbee/domain/restart_policy.hpp"

#include <algorithm>

namespace rbee::domain {

void CircuitBreaker::set_rules(const BreakerRules& rules) {
    const bool first = cooldown_ == rules_.cooldown;
    cooldown_ = first ? rules.cooldown : std::clamp(cooldown_, rules.cooldown, rules.cooldown_max);
    rules_ = rules;
}

CircuitBreaker::Permit CircuitBreaker::peek(TimePoint now) const {
    if (state_ == State::closed || (state_ == State::open && now >= until_)) {
        return {.allowed = true};
    }
    // A trial that takes longer than its proof is looked at again each time the proof could end.
    return {.allowed = false, .retry_at = now < until_ ? until_ : now + rules_.proof};
}

CircuitBreaker::Permit CircuitBreaker::admit(TimePoint now) {
    Permit permit = peek(now);
    if (permit.allowed && state_ == State::open) {
        state_ = State::half_open;
        until_ = now + rules_.proof;
        permit.trial = ++trial_;
    }
    return permit;
}

bool CircuitBreaker::failed(std::uint64_t trial, TimePoint now, std::uint64_t random) {
    if (on_trial(trial)) {
        cooldown_ = std::min(cooldown_ * 2, rules_.cooldown_max);
        open(now, random);
        return true;
    }
    if (state_ != State::closed) {
        return false;
    }
    prune(now);
    failures_.push_back(failures_.empty() ? now : std::max(now, failures_.back()));
    if (rules_.failures == 0 || failures_.size() < rules_.failures) {
        return false;
    }
    cooldown_ = calmed(now);
    open(now, random);
    return true;
}

bool CircuitBreaker::trip(TimePoint now, std::uint64_t random) {
    if (state_ != State::closed) {
        return false;
    }
    cooldown_ = calmed(now);
    open(now, random);
    return true;
}

bool CircuitBreaker::succeeded(std::uint64_t trial, TimePoint now) {
    if (!on_trial(trial)) {
        return false;
    }
    state_ = State::closed;
    failures_.clear();
    closed_since_ = now;
    return true;
}

void CircuitBreaker::abandoned(std::uint64_t trial, TimePoint now) {
    if (on_trial(trial)) {
        state_ = State::open;
        until_ = now;
    }
}

void CircuitBreaker::close() {
    state_ = State::closed;
    failures_.clear();
    cooldown_ = rules_.cooldown;
}

bool CircuitBreaker::idle(TimePoint now) const {
    const bool quiet = failures_.empty() || now - failures_.back() >= rules_.window;
    return state_ == State::closed && quiet && calmed(now) == rules_.cooldown;
}

void CircuitBreaker::open(TimePoint now, std::uint64_t random) {
    state_ = State::open;
    failures_.clear();
    const Duration drawn = with_jitter(cooldown_, rules_.jitter_percent, random);
    until_ = now + std::min<Duration>(drawn, rules_.cooldown_max);
}

void CircuitBreaker::prune(TimePoint now) {
    while (!failures_.empty() && now - failures_.front() >= rules_.window) {
        failures_.pop_front();
    }
}

Duration CircuitBreaker::calmed(TimePoint now) const {
    Duration cooldown = cooldown_;
    for (Duration left = now - closed_since_; left >= rules_.calm && cooldown > rules_.cooldown;
         left -= rules_.calm) {
        cooldown = std::max(cooldown / 2, rules_.cooldown);
    }
    return cooldown;
}

std::string_view to_string(CircuitBreaker::State state) {
    switch (state) {
    case CircuitBreaker::State::closed:
        return "closed";
    case CircuitBreaker::State::open:
        return "open";
    case CircuitBreaker::State::half_open:
        return "half_open";
    }
    return "closed";
}

} // namespace rbee::domain
