#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/process/adopted.hpp"
#include "rbee/process/lifeline.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace rbee::worker {

/// What a hive says of itself that takes over a worker: POST /v1/admin/hive.
struct HiveNotice {
    std::string url;
    pid_t pid = 0;
    std::uint64_t start_ticks = 0; ///< See process::start_ticks_of().
};

/// How long a worker may go on when its hive has died (reliability.md 2.2): not at all when the
/// hive has not promised that the next one will look for it, else for some time. Belongs to one
/// loop; stop() before it goes.
class Lease {
public:
    struct End {
        std::string cause;
        bool at_once = false; ///< Without waiting for running requests.
    };
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
    };

    /// `on_end` is called at most once.
    Lease(Dependencies dependencies, Duration limit, std::function<void(End)> on_end);

    /// The hive that started this worker holds the other end of `fd`, which is taken.
    void follow_lifeline(int fd);
    /// Another hive has taken over. Errc::not_found when there is no such process.
    [[nodiscard]] Result<void> follow(const HiveNotice& hive);
    /// Ends the watch; nothing is called any more.
    [[nodiscard]] boost::asio::awaitable<void> stop();

private:
    void lifeline_ended();
    void end(End how);
    [[nodiscard]] boost::asio::awaitable<void>
    watch(std::shared_ptr<process::AdoptedProcess> hive, std::uint64_t round);
    [[nodiscard]] boost::asio::awaitable<void> run_out(std::uint64_t round);

    Dependencies with_;
    Duration limit_;
    std::function<void(End)> on_end_;
    std::unique_ptr<process::LifelineWatch> lifeline_;
    std::shared_ptr<process::AdoptedProcess> hive_;
    std::uint64_t round_ = 0; ///< Counts hives found and lost.
    runtime::TaskGroup tasks_;
};

} // namespace rbee::worker
