#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/hive/launcher.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/process/lifeline.hpp"
#include "rbee/runtime/timers.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace rbee::hive {

/// One worker process and what is known of it beyond the registry.
struct Supervisor::Running {
    explicit Running(runtime::Timers& timers) : changed(timers) {}

    std::string id;
    std::string url;
    std::shared_ptr<const Secret>
        token; ///< Made for this worker; it and its hive know it, nobody else.
    std::string log_path;
    std::unique_ptr<WorkerProcess> process;
    std::optional<process::Lifeline> lifeline; ///< Closes when the hive goes, however it goes.
    std::shared_ptr<process::PulsePage> pulse;
    process::DeathWatch::Entry death_watch;
    std::uint64_t log_from = 0; ///< Where its part of the log begins.
    TimePoint started;
    std::optional<TimePoint> ready;
    std::optional<TimePoint> dying;
    std::uint64_t generation = 1; ///< See WorkerRegistry::Entry.
    std::uint64_t need_bytes = 0;
    std::string kill_reason;
    bool forced = false;      ///< SIGKILL was needed.
    bool stalled = false;     ///< It was aborted because it did not get on.
    bool cannot_load = false; ///< It said so itself.
    bool may_survive = false; ///< It knows that it may go on without the hive.
    bool followed = false;    ///< Its loading is being followed.
    bool stopping = false;    ///< Its stop ladder runs.
    bool gone = false;
    runtime::Notifier changed;
};

} // namespace rbee::hive
