#pragma once

#include "rbee/api/deadlines.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/audit/config_events.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/auth/token_keeper.hpp"
#include "rbee/base/random.hpp"
#include "rbee/base/result.hpp"
#include "rbee/config/live_config.hpp"
#include "rbee/hive/adoption.hpp"
#include "rbee/hive/death_recorder.hpp"
#include "rbee/hive/health_monitor.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/hive_routes.hpp"
#include "rbee/hive/hive_view.hpp"
#include "rbee/hive/idle_stop.hpp"
#include "rbee/hive/inference_relay.hpp"
#include "rbee/hive/launcher.hpp"
#include "rbee/hive/machine.hpp"
#include "rbee/hive/model_directory.hpp"
#include "rbee/hive/option_values.hpp"
#include "rbee/hive/queen_link.hpp"
#include "rbee/hive/resource_check.hpp"
#include "rbee/hive/restarter.hpp"
#include "rbee/hive/rolling_restart.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/spawn_service.hpp"
#include "rbee/hive/stall_watch.hpp"
#include "rbee/hive/start_gate.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_audit.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"
#include "rbee/pki/tls_service.hpp"
#include "rbee/process/death_watch.hpp"
#include "rbee/process/lifeline.hpp"
#include "rbee/process/listener.hpp"
#include "rbee/process/service_manager.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace rbee::hive {

/// How a running hive gets other settings.
struct ReloadHooks {
    std::function<Result<Settings>()> reread; ///< Settings anew; without it they stay.
    config::ReloadObserver on_config;         ///< Hears how that went.
};

/// The program rbee-hive: its parts in the order in which they are built, and its life from bind
/// to exit. One for each process, used from the main thread.
class HiveApp {
public:
    /// Binds; the socket listens when this returns. Fails with one readable line.
    [[nodiscard]] static Result<std::unique_ptr<HiveApp>>
    create(Settings settings, ReloadHooks hooks = {});

    HiveApp(const HiveApp&) = delete;
    HiveApp& operator=(const HiveApp&) = delete;

    /// Serves until told to stop, then stops every worker; returns the exit code.
    [[nodiscard]] int run();

private:
    struct Opened;
    HiveApp(Settings settings, Opened opened);

    /// With TLS: the queen must show her certificate if there is a CA for it; workers come in the
    /// clear, at a port of their own that only this machine reaches.
    [[nodiscard]] static std::function<Result<void>(const http::Exchange&, http::Access)>
    connection_rule(const pki::TlsFiles& files);
    [[nodiscard]] Result<void> load_tokens();
    /// Workers of a former hive come back as those of this one do.
    void follow_adopted();
    void limit_worker_memory();
    void build_routes();
    [[nodiscard]] Result<void> serve();
    [[nodiscard]] std::string public_url() const;
    void begin_stop(std::string reason);
    /// Tokens, certificates and settings anew.
    void reload();
    [[nodiscard]] std::string own_url() const;
    [[nodiscard]] boost::asio::awaitable<void> main();
    [[nodiscard]] boost::asio::awaitable<void> watch_signals();
    [[nodiscard]] boost::asio::awaitable<void> shut_down();

    Settings settings_;
    telemetry::Logger log_;
    std::unique_ptr<audit::Logger> audit_; ///< Null when it is off.
    ReloadHooks hooks_;
    config::LiveConfig config_{option_rows(), settings_.config, log_};
    process::ServiceManager service_{settings_.service};
    process::Listener listener_;
    boost::asio::io_context loop_{1};
    runtime::SystemTimers timers_{loop_.get_executor()};
    runtime::BlockingPool pool_{2, "hive-files"};
    telemetry::Metrics metrics_;
    HiveMetrics hive_metrics_{metrics_};
    auth::Authenticator authenticator_;
    auth::TokenKeeper tokens_{
        {authenticator_, timers_, log_, audit_.get()}, std::move(settings_.tokens)
    };
    api::Gate gate_{
        authenticator_,
        log_,
        metrics_,
        {.program = "rbee-hive",
         .prefix = "rbee_hive",
         .clock = timers_.clock(),
         .metrics_auth = settings_.metrics_auth,
         .connections = connection_rule(settings_.tls),
         .audit = audit_.get()}
    };
    http::Reaper reaper_{loop_.get_executor()};
    http::Client client_{loop_.get_executor(), reaper_};
    WorkerRegistry registry_{timers_.clock()};
    ModelDirectory models_;
    Machine machine_;
    HiveView view_;
    ChildLauncher launcher_{loop_.get_executor()};
    process::DeathWatch death_watch_{loop_.get_executor()};
    Supervisor supervisor_;
    StartGate start_gate_{{timers_.clock(), log_, hive_metrics_, settings_.restart, random_u64}};
    Restarter restarter_{
        {timers_,
         log_,
         hive_metrics_,
         registry_,
         supervisor_,
         start_gate_,
         settings_.restart,
         random_u64,
         [this](Supervisor::Order order) { return spawner_.room_for(std::move(order)); }}
    };
    StallWatch stall_watch_{{timers_, log_, registry_, supervisor_, settings_.life.progress}};
    std::optional<WorkerAudit> worker_audit_;
    DeathRecorder deaths_;
    Adoption adoption_;
    ResourceCheck resources_;
    IdleStop idle_;
    SpawnService spawner_;
    RollingRestart rolling_{
        {loop_.get_executor(), log_, registry_, supervisor_, start_gate_, restarter_, spawner_}
    };
    runtime::DeadlineTimers deadline_timers_{loop_.get_executor()};
    api::Deadlines deadlines_;
    InferenceRelay relay_;
    HiveRoutes routes_;
    HealthMonitor monitor_;
    std::optional<QueenLink> queen_;
    std::unique_ptr<process::LifelineWatch> lifeline_;
    http::Server server_{loop_.get_executor(), reaper_, settings_.http};
    pki::TlsService tls_{{server_, client_, timers_.clock(), log_}, settings_.tls, "queen:"};
    runtime::Notifier stopping_{timers_};
    std::optional<std::string> stop_reason_;
    runtime::TaskGroup tasks_; ///< Last: its tasks use everything above.
};

} // namespace rbee::hive
