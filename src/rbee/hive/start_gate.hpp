#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/domain/circuit_breaker.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/restart_settings.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/telemetry/log.hpp"

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::hive {

/// Decides whether a worker may be started at all: one circuit breaker for each model on each
/// device (behaviour.md 12), and a memory of what cannot work as it is. Belongs to one loop.
class StartGate {
public:
    struct Dependencies {
        const Clock& clock;
        telemetry::Logger& log;
        HiveMetrics& metrics;
        const RestartSettings& settings;
        std::function<std::uint64_t()> random; ///< For jitter.
    };

    /// What fails together.
    struct Key {
        std::string model_ref;
        std::string backend;
        std::uint32_t device = 0;
        auto operator<=>(const Key&) const = default;
    };

    explicit StartGate(Dependencies dependencies) : with_(std::move(dependencies)) {}

    [[nodiscard]] static Key key_of(const Supervisor::Order& order);

    /// Whether a worker may be started now. Gives the number to tell below: 0, or that of the one
    /// trial after a cooldown. Refuses with MODEL_UNAVAILABLE (503), the cause and, in the details,
    /// retry_after_s.
    [[nodiscard]] Result<std::uint64_t> admit(const Supervisor::Order& order);
    /// Until when admit() refuses; nothing when it does not.
    [[nodiscard]] std::optional<TimePoint> refused_until(const Supervisor::Order& order) const;
    /// What became of a start: see domain::CircuitBreaker.
    void failed(const Supervisor::Order& order, std::uint64_t trial, const std::string& cause);
    void succeeded(const Supervisor::Order& order, std::uint64_t trial);
    void abandoned(const Supervisor::Order& order, std::uint64_t trial);
    /// A worker has used up its attempts.
    void exhausted(const Supervisor::Order& order, const std::string& cause);
    /// It would fail in the same way until something about it is changed.
    void hopeless(const Supervisor::Order& order, const std::string& cause);
    /// Somebody closes it by hand.
    void close(const Supervisor::Order& order);

    /// A breaker that opens or closes. Valid during the call only.
    struct Turn {
        const Supervisor::Order& order;
        bool open = false;
        std::string_view cause;
        std::int64_t cooldown_s = 0; ///< Until the next trial, when it opens.
    };
    /// Hears of each. At most one observer.
    void on_turn(std::function<void(const Turn&)> observer) { turned_ = std::move(observer); }
    /// Hears that starts may have become possible, or impossible. Any number of observers.
    void on_change(std::function<void()> observer) { observers_.push_back(std::move(observer)); }

private:
    struct Breaker {
        domain::CircuitBreaker state;
        std::string cause;
    };
    /// A start that failed for what it was.
    struct Hopeless {
        std::string fingerprint;
        std::string cause;
        TimePoint until;
    };

    [[nodiscard]] Breaker& breaker_of(const Supervisor::Order& order);
    [[nodiscard]] const domain::BreakerRules& rules_of(const Supervisor::Order& order) const;
    [[nodiscard]] const Hopeless* hopeless_of(const Supervisor::Order& order) const;
    void opened(const Supervisor::Order& order, Breaker& breaker, const std::string& cause);
    void tell_closed(const Supervisor::Order& order, std::string_view cause) const;
    void changed();
    void forget_idle();

    Dependencies with_;
    std::map<Key, Breaker> breakers_;
    std::map<Key, Hopeless> hopeless_;
    std::vector<std::function<void()>> observers_;
    std::function<void(const Turn&)> turned_;
};

} // namespace rbee::hive
