#include "rbee/hive/start_gate.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace rbee::hive {

namespace {

using State = domain::CircuitBreaker::State;

/// Whole seconds until `due`, at least one.
std::int64_t seconds_until(TimePoint due, TimePoint now) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(due - now).count();
    return std::max<std::int64_t>(left, 1);
}

std::unexpected<Error>
model_unavailable(std::string what, const std::string& cause, std::int64_t s) {
    Error error{Errc::unavailable, std::move(what), "MODEL_UNAVAILABLE"};
    error.details =
        boost::json::serialize(boost::json::object{{"cause", cause}, {"retry_after_s", s}});
    return std::unexpected(std::move(error));
}

} // namespace

StartGate::Key StartGate::key_of(const Supervisor::Order& order) {
    return {order.model.ref.to_string(), order.backend, order.device};
}

const domain::BreakerRules& StartGate::rules_of(const Supervisor::Order& order) const {
    return with_.settings.of(order.model.ref.to_string(), order.model.name).breaker;
}

StartGate::Breaker& StartGate::breaker_of(const Supervisor::Order& order) {
    const domain::BreakerRules& rules = rules_of(order);
    const auto [at, fresh] =
        breakers_.try_emplace(key_of(order), domain::CircuitBreaker(rules), std::string());
    if (!fresh) {
        at->second.state.set_rules(rules); // which a reload may have changed
    }
    return at->second;
}

const StartGate::Hopeless* StartGate::hopeless_of(const Supervisor::Order& order) const {
    const auto found = hopeless_.find(key_of(order));
    const bool same = found != hopeless_.end() && !order.fingerprint.empty() &&
                      found->second.fingerprint == order.fingerprint &&
                      with_.clock.now() < found->second.until;
    return same ? &found->second : nullptr;
}

Result<std::uint64_t> StartGate::admit(const Supervisor::Order& order) {
    const TimePoint now = with_.clock.now();
    forget_idle();
    if (const Hopeless* known = hopeless_of(order)) {
        return model_unavailable(
            fmt::format(
                "{} cannot be loaded, and neither it nor its settings have changed since: {}",
                order.model.name,
                known->cause
            ),
            known->cause,
            seconds_until(known->until, now)
        );
    }
    const auto found = breakers_.find(key_of(order));
    if (found == breakers_.end()) {
        return 0;
    }
    const State before = found->second.state.state();
    const auto permit = found->second.state.admit(now);
    if (!permit.allowed) {
        const std::int64_t seconds = seconds_until(permit.retry_at, now);
        return model_unavailable(
            fmt::format(
                "workers of {} keep failing, so none is started for now: {}",
                order.model.name,
                found->second.cause
            ),
            found->second.cause,
            seconds
        );
    }
    if (found->second.state.state() != before) {
        with_.log.info(
            "circuit_breaker_half_open",
            "one worker is started to see whether it works again",
            {{"model", order.model.name}, {"backend", order.backend}, {"device", order.device}}
        );
        changed();
    }
    return permit.trial;
}

std::optional<TimePoint> StartGate::refused_until(const Supervisor::Order& order) const {
    const auto found = breakers_.find(key_of(order));
    if (found == breakers_.end()) {
        return std::nullopt;
    }
    const auto permit = found->second.state.peek(with_.clock.now());
    return permit.allowed ? std::nullopt : std::optional(permit.retry_at);
}

void StartGate::failed(
    const Supervisor::Order& order, std::uint64_t trial, const std::string& cause
) {
    Breaker& breaker = breaker_of(order);
    if (breaker.state.failed(trial, with_.clock.now(), with_.random())) {
        opened(order, breaker, cause);
    }
}

void StartGate::exhausted(const Supervisor::Order& order, const std::string& cause) {
    Breaker& breaker = breaker_of(order);
    if (breaker.state.trip(with_.clock.now(), with_.random())) {
        opened(order, breaker, cause);
    }
}

void StartGate::opened(const Supervisor::Order& order, Breaker& breaker, const std::string& cause) {
    breaker.cause = cause;
    with_.metrics.breaker_activated();
    const TimePoint now = with_.clock.now();
    const std::int64_t cooldown_s = seconds_until(breaker.state.peek(now).retry_at, now);
    with_.log.error(
        "circuit_breaker_opened",
        "workers keep failing; none is started until the cooldown is over",
        {{"model", order.model.name},
         {"backend", order.backend},
         {"device", order.device},
         {"cause", cause},
         {"cooldown_s", cooldown_s}}
    );
    if (turned_) {
        turned_({order, true, cause, cooldown_s});
    }
    changed();
}

void StartGate::tell_closed(const Supervisor::Order& order, std::string_view cause) const {
    if (turned_) {
        turned_({order, false, cause});
    }
}

void StartGate::succeeded(const Supervisor::Order& order, std::uint64_t trial) {
    const auto found = breakers_.find(key_of(order));
    if (found != breakers_.end() && found->second.state.succeeded(trial, with_.clock.now())) {
        with_.log.info(
            "circuit_breaker_closed",
            "workers can be started again",
            {{"model", order.model.name}, {"backend", order.backend}, {"device", order.device}}
        );
        tell_closed(order, "workers can be started again");
        changed();
    }
}

void StartGate::abandoned(const Supervisor::Order& order, std::uint64_t trial) {
    const auto found = breakers_.find(key_of(order));
    if (found != breakers_.end() && trial != 0) {
        found->second.state.abandoned(trial, with_.clock.now());
        changed();
    }
}

void StartGate::hopeless(const Supervisor::Order& order, const std::string& cause) {
    if (order.fingerprint.empty()) {
        return;
    }
    hopeless_.insert_or_assign(
        key_of(order),
        Hopeless{order.fingerprint, cause, with_.clock.now() + rules_of(order).cooldown}
    );
}

void StartGate::close(const Supervisor::Order& order) {
    hopeless_.erase(key_of(order));
    const auto found = breakers_.find(key_of(order));
    if (found == breakers_.end()) {
        return;
    }
    if (found->second.state.state() != State::closed) {
        with_.log.info(
            "circuit_breaker_closed",
            "closed by hand",
            {{"model", order.model.name}, {"backend", order.backend}, {"device", order.device}}
        );
        tell_closed(order, "closed by hand");
    }
    found->second.state.close();
    changed();
}

void StartGate::forget_idle() {
    const TimePoint now = with_.clock.now();
    std::erase_if(breakers_, [now](const auto& item) { return item.second.state.idle(now); });
    std::erase_if(hopeless_, [now](const auto& item) { return item.second.until <= now; });
}

void StartGate::changed() {
    const auto count = [this](State state) {
        return static_cast<std::size_t>(std::ranges::count_if(breakers_, [state](const auto& item) {
            return item.second.state.state() == state;
        }));
    };
    with_.metrics.breakers(count(State::open), count(State::half_open));
    for (const auto& observer : observers_) {
        observer();
    }
}

} // namespace rbee::hive
