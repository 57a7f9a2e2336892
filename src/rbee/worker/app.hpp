#pragma once

#include "rbee/api/client.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/base/result.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/config/paths.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"
#include "rbee/process/pulse.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/runtime/deadline_timers.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"
#include "rbee/worker/hive_link.hpp"
#include "rbee/worker/lease.hpp"
#include "rbee/worker/listener.hpp"
#include "rbee/worker/options.hpp"
#include "rbee/worker/service.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>
#include <string>

namespace rbee::worker {

/// What the process knows of itself.
struct Surroundings {
    config::Environment environment;
    Secret token; ///< What LLORCH_API_TOKEN held, see auth::take_from_environment().
    std::optional<process::PulseHolder> pulse = {}; ///< Taken by the main thread.
};

/// The program llm-worker-rbee: its process, its parts in the order in which they are built, and
/// its life from bind to exit. One for each process, used from the main thread.
class WorkerApp {
public:
    /// Loads the token, checks the bind policy and binds; the socket listens when this returns.
    [[nodiscard]] static Result<std::unique_ptr<WorkerApp>>
    create(WorkerOptions options, Surroundings around, std::unique_ptr<engine::Engine> engine);

    WorkerApp(const WorkerApp&) = delete;
    WorkerApp& operator=(const WorkerApp&) = delete;

    /// Serves until it is told to stop or the model cannot be loaded; returns the exit code. Does
    /// not return when a stop comes while the model loads: that cannot be interrupted, so the
    /// process ends here.
    [[nodiscard]] int run();

private:
    struct Parts;
    WorkerApp(WorkerOptions options, Parts parts);

    /// Why the worker stops; the first cause decides the exit code.
    struct Stop {
        int exit_code = 0;
        std::string cause;
    };
    void stop(Stop why);
    void hurry();

    [[nodiscard]] boost::asio::awaitable<void> main();
    [[nodiscard]] boost::asio::awaitable<void> load();
    [[nodiscard]] boost::asio::awaitable<void> watch_signals();
    [[nodiscard]] boost::asio::awaitable<void> watch_stop();
    [[nodiscard]] boost::asio::awaitable<void> shut_down();
    [[nodiscard]] boost::asio::awaitable<void> beat();
    [[nodiscard]] Settings make_settings() const;
    [[nodiscard]] Outside make_outside();
    void connect_hive();
    [[nodiscard]] Result<void> take_hive(const HiveNotice& hive);
    void leave_process(int exit_code);
    void tell_leaving(int exit_code);
    void close_audit(const std::string& cause);

    WorkerOptions options_;
    std::optional<process::PulseHolder> pulse_;
    boost::asio::io_context loop_{1};
    runtime::SystemTimers timers_{loop_.get_executor()};
    runtime::DeadlineTimers deadline_timers_{loop_.get_executor()};
    http::Reaper reaper_{loop_.get_executor()};
    telemetry::Logger log_;
    std::unique_ptr<audit::Logger> audit_; ///< Null when it is off.
    telemetry::Metrics metrics_;
    Secret token_;
    auth::Authenticator authenticator_;
    Listener listener_;
    std::string url_;
    std::unique_ptr<engine::Engine> engine_;
    http::Client client_{loop_.get_executor(), reaper_};
    std::optional<HiveLink> hive_;
    WorkerService service_;
    http::Server server_;
    runtime::BlockingPool pool_{1, "engine-load"};
    runtime::Notifier stopping_{timers_};
    std::optional<Stop> stop_;
    Lease lease_;
    bool loading_ = false;
    runtime::TaskGroup tasks_; ///< Last: its tasks use everything above.
};

} // namespace rbee::worker
