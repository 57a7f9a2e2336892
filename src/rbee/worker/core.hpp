#pragma once

#include "rbee/api/deadlines.hpp"
#include "rbee/api/running.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/runtime/deadline_timers.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"
#include "rbee/worker/slots.hpp"
#include "rbee/worker/status.hpp"
#include "rbee/worker/worker_metrics.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace rbee::worker {

/// What the worker's endpoints need to know about it.
struct Settings {
    std::string worker_id;
    std::string model_name; ///< What answers carry in their `model` field.
    engine::LoadOptions load;
    /// Unread output at which a generation is stopped: its reader is too slow for it.
    std::size_t pending_bytes_max = 4UL * 1024 * 1024;
    Duration keep_alive_period = std::chrono::seconds(10); ///< Comments in progress streams.
    Duration drain_limit = std::chrono::seconds(30);
};

/// The things outside that the endpoints use; all outlive them.
struct Outside {
    runtime::Timers& timers;
    runtime::DeadlineTimers& deadline_timers;
    engine::Engine& engine;
    telemetry::Logger& log;
    telemetry::Metrics& metrics;
    std::function<std::uint64_t()> random; ///< For seeds and ids of ours.
    audit::Logger* audit = nullptr;        ///< Hears who was let in and who was not; or none.
};

/// The state that all endpoints of one worker share. Belongs to one event loop.
struct Core {
    Core(Settings settings, Outside outside);
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    /// Shows state and slots in the metrics.
    void show();

    const Settings settings;
    runtime::Timers& timers;
    engine::Engine& engine;
    telemetry::Logger& log;
    std::function<std::uint64_t()> random;
    WorkerMetrics metrics;
    api::Deadlines deadlines;
    WorkerStatus status;
    SlotPool slots;
    runtime::Notifier idle; ///< Told when the last running request has gone.
    api::RunningRequests running;
    engine::ModelInfo model; ///< Once loaded.
};

} // namespace rbee::worker
