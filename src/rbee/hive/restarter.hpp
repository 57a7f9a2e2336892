#pragma once

#include "rbee/base/result.hpp"
#include "rbee/domain/restart_policy.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/preflight.hpp"
#include "rbee/hive/restart_settings.hpp"
#include "rbee/hive/start_gate.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rbee::hive {

/// Brings workers back that ended without being asked (behaviour.md 12): hears each end from the
/// supervisor, waits as domain::RestartPolicy says and until StartGate allows it, and starts the
/// process again under the same id. Leaves workers alone that it was not told of. Belongs to one
/// loop; stop() before it goes.
class Restarter {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        HiveMetrics& metrics;
        WorkerRegistry& registry;
        Supervisor& supervisor;
        StartGate& gate;
        const RestartSettings& settings;
        std::function<std::uint64_t()> random; ///< For jitter.
        /// Whether there is room for a worker now; may be empty. Runs right before each restart.
        std::function<boost::asio::awaitable<Result<void>>(Supervisor::Order)> room;
    };

    explicit Restarter(Dependencies dependencies);

    /// This worker was just started; `trial` is what StartGate::admit() gave for it. Its end counts
    /// for the gate, but it is not started again before keep().
    void try_out(const std::string& id, std::uint64_t trial);
    /// It is to be kept from now on: whoever asked for it is told that it is there.
    void keep(const std::string& id);
    /// Keeps a worker that was adopted, with what another hive program knew of it.
    void follow(const std::string& id, const domain::RestartPolicy::History& history);
    /// The process of a worker that waits to be started again is started now, whatever the delay,
    /// attempts and breaker say, and the count of its restarts begins anew. Fails as
    /// Supervisor::respawn() does.
    [[nodiscard]] Result<api::WorkerInfo> restart_now(const std::string& id);
    /// A worker has answered a request well: that proves it as much as some time in service does.
    void served(std::string_view id);
    /// The attempts that a worker has used; nothing for one that is not known.
    [[nodiscard]] std::optional<domain::RestartPolicy::History> history_of(std::string_view id
    ) const;
    /// No more restarts; joins what waits.
    [[nodiscard]] boost::asio::awaitable<void> stop() { return tasks_.stop(); }

private:
    /// What is known of one worker beyond the registry.
    struct Slot {
        Slot(runtime::Timers& timers, std::string name, const domain::RestartPolicy& rules)
            : id(std::move(name)), policy(rules), changed(timers) {}
        std::string id;
        domain::RestartPolicy policy;
        bool kept = false;
        std::uint64_t trial = 0; ///< Of its running process.
        std::uint64_t turn = 0;  ///< Grows with each end and start: older tasks are over.
        TimePoint due;           ///< By the policy; the gate may say later.
        std::string reason;      ///< Why it is waiting.
        runtime::Notifier changed;
    };
    using SlotPtr = std::shared_ptr<Slot>;

    /// Makes, or makes anew, what is known of a worker that is there; null when it is not.
    [[nodiscard]] SlotPtr
    make_slot(const std::string& id, const domain::RestartPolicy::History& history);
    void ended(const Supervisor::ExitReport& report);
    void became_ready(const std::string& id);
    /// What follows after an end, or after a start that came to nothing.
    void decide(const SlotPtr& slot, domain::ExitKind kind, const std::string& how);
    void give_up(const SlotPtr& slot, const Supervisor::Order& order, const std::string& how);
    void wait_for_turn(const SlotPtr& slot);
    void show_wait(const Slot& slot, TimePoint next);
    [[nodiscard]] boost::asio::awaitable<void> wait_and_start(SlotPtr slot, std::uint64_t turn);
    /// When the slot may be started: its own time or that of the gate.
    [[nodiscard]] TimePoint next_start(const Slot& slot) const;
    /// Whether the task of `turn` still has something to do for the slot.
    [[nodiscard]] bool waits(const Slot& slot, std::uint64_t turn) const;
    void start(const SlotPtr& slot);
    [[nodiscard]] boost::asio::awaitable<void> watch_uptime(SlotPtr slot, std::uint64_t turn);
    void next_turn(Slot& slot);
    [[nodiscard]] SlotPtr find(std::string_view id) const;
    [[nodiscard]] const RestartRuleSet& rules_of(const Supervisor::Order& order) const;

    Dependencies with_;
    std::map<std::string, SlotPtr, std::less<>> slots_;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
