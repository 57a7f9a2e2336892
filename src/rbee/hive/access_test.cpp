#include "rbee/hive/hive_routes.hpp"
#include "rbee/hive/hive_view.hpp"
#include "rbee/hive/inference_relay.hpp"
#include "rbee/hive/launcher.hpp"
#include "rbee/hive/machine.hpp"
#include "rbee/hive/model_directory.hpp"
#include "rbee/hive/restarter.hpp"
#include "rbee/hive/rolling_restart.hpp"
#include "rbee/hive/spawn_service.hpp"
#include "rbee/hive/start_gate.hpp"
#include "rbee/hive/supervisor.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "support/default_deny.hpp"

namespace rbee::hive {
namespace {

TEST(HiveAccess, AUTH_008_AUTH_009_AUTH_017_HiveDeniesEveryRouteButThePublicOnes) {
    boost::asio::io_context loop;
    runtime::SystemTimers timers(loop.get_executor());
    runtime::BlockingPool pool(1, "test");
    telemetry::Logger log = telemetry::Logger::silent();
    telemetry::Metrics metrics;
    HiveMetrics hive_metrics(metrics);
    http::Reaper reaper(loop.get_executor());
    http::Client client(loop.get_executor(), reaper);
    const Settings settings;
    WorkerRegistry registry(timers.clock());
    auth::Authenticator tokens;
    ModelDirectory models({});
    Machine machine(timers.clock(), pool, {});
    HiveView view({timers.clock(), registry, models, machine, pool});
    ChildLauncher launcher(loop.get_executor());
    Supervisor supervisor({timers, log, hive_metrics, registry, launcher, client, settings, tokens}
    );
    ResourceCheck resources({settings, machine, supervisor, log});
    const auto random = [] { return std::uint64_t{0}; };
    StartGate gate({timers.clock(), log, hive_metrics, settings.restart, random});
    Restarter restarter(
        {timers, log, hive_metrics, registry, supervisor, gate, settings.restart, random, {}}
    );
    SpawnService spawner(
        {settings, models, resources, supervisor, gate, restarter, hive_metrics, pool, log}
    );
    RollingRestart rolling(
        {loop.get_executor(), log, registry, supervisor, gate, restarter, spawner}
    );
    runtime::DeadlineTimers deadline_timers(loop.get_executor());
    api::Deadlines deadlines({deadline_timers, log, metrics, "test"}, {});
    InferenceRelay relay(
        {timers, log, hive_metrics, registry, supervisor, restarter, client, deadlines}
    );
    PostmortemStore postmortems({timers, log, pool, {}});
    HiveRoutes routes(
        {timers,
         settings,
         registry,
         supervisor,
         spawner,
         rolling,
         view,
         postmortems,
         pool,
         [](const std::string&) { FAIL() << "nobody may stop the hive"; }}
    );
    test::expect_default_deny(
        {"GET /health", "GET /v1/health", "GET /metrics"},
        [&](http::Router& router) {
            routes.add_routes(router);
            relay.add_routes(router);
        }
    );
}

} // namespace
} // namespace rbee::hive
