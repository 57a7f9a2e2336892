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
    Secret token; ///< Made for this worker; it and its hive know it, nobody else.
    std::string log_path;
    std::unique_ptr<WorkerProcess> process;
    std::optional<process::Lifeline> lifeline; ///< Closes when the hive goes, however it goes.
    TimePoint started;
    std::uint64_t need_bytes = 0;
    std::string kill_reason;
    bool forced = false;   ///< SIGKILL was needed.
    bool followed = false; ///< Its loading is being followed.
    bool stopping = false; ///< Its stop ladder runs.
    bool gone = false;
    runtime::Notifier changed;
};

} // namespace rbee::hive
