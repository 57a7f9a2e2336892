#include "rbee/domain/restart_policy.hpp"

#include <algorithm>
#include <utility>

namespace rbee::domain {

namespace {

using std::chrono::milliseconds;

milliseconds in_ms(Duration duration) {
    return std::chrono::duration_cast<milliseconds>(duration);
}

/// base * 2^attempt, at most max.
milliseconds nominal_delay(const RestartRules& rules, std::uint32_t attempt) {
    const milliseconds max = in_ms(rules.max);
    milliseconds delay = std::min(in_ms(rules.base), max);
    for (std::uint32_t i = 0; i < attempt && delay < max; ++i) {
        delay = delay > max / 2 ? max : delay * 2;
        if (delay.count() == 0) {
            break; // no base: it stays nothing
        }
    }
    return delay;
}

} // namespace

milliseconds with_jitter(Duration nominal, std::uint32_t percent, std::uint64_t random) {
    const milliseconds middle = in_ms(nominal);
    const std::int64_t reach = middle.count() * percent / 100;
    const auto choices = static_cast<std::uint64_t>(2 * reach + 1);
    return middle + milliseconds(static_cast<std::int64_t>(random % choices) - reach);
}

milliseconds restart_delay(const RestartRules& rules, std::uint32_t attempt, std::uint64_t random) {
    const milliseconds max = in_ms(rules.max);
    const milliseconds base = std::min(in_ms(rules.base), max);
    const milliseconds least = base - base * rules.jitter_percent / 100;
    const milliseconds drawn =
        with_jitter(nominal_delay(rules, attempt), rules.jitter_percent, random);
    return std::clamp(drawn, least, max);
}

bool RestartPolicy::settle(TimePoint now) {
    if (!ready_ || now - *ready_ < rules_.stable) {
        return false;
    }
    forgive();
    return true;
}

RestartDecision RestartPolicy::exited(ExitKind kind, TimePoint now, std::uint64_t random) {
    const bool settled = settle(now);
    (void)settled; // only its effect counts here
    ready_.reset();
    RestartDecision decision{.attempt = history_.attempts, .attempts_max = rules_.attempts_max};
    if (kind == ExitKind::asked_for || !rules_.enabled) {
        return decision;
    }
    const bool again = std::exchange(history_.out_of_memory, kind == ExitKind::out_of_memory);
    if (kind == ExitKind::configuration || (again && kind == ExitKind::out_of_memory)) {
        decision.action = RestartDecision::Action::hopeless;
        return decision;
    }
    if (history_.attempts >= rules_.attempts_max) {
        decision.action = RestartDecision::Action::exhausted;
        return decision;
    }
    decision.action = RestartDecision::Action::restart;
    decision.delay = restart_delay(rules_, history_.attempts, random);
    decision.attempt = ++history_.attempts;
    return decision;
}

} // namespace rbee::domain
