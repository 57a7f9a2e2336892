#pragma once

#include "rbee/api/types.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/model_provider.hpp"
#include "rbee/hive/preflight.hpp"
#include "rbee/hive/resource_check.hpp"
#include "rbee/hive/restarter.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/start_gate.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace rbee::hive {

/// Starts workers on request, whose fields api::spawn_from_json has checked: finds model and
/// program, checks resources, then hands over to the supervisor (behaviour.md 4.3). Belongs to one
/// loop.
class SpawnService {
public:
    struct Dependencies {
        const Settings& settings;
        const ModelProvider& models;
        ResourceCheck& resources;
        Supervisor& supervisor;
        StartGate& gate;
        Restarter& restarter;
        HiveMetrics& metrics;
        runtime::BlockingPool& pool;
        const telemetry::Logger& log;
    };

    explicit SpawnService(Dependencies dependencies) : with_(dependencies) {}

    /// The worker that was started; it is loading. A refusal says what to change. `actor` is who
    /// asked for it, for the audit log.
    [[nodiscard]] boost::asio::awaitable<Checked<api::WorkerInfo>>
    spawn(api::SpawnRequest request, std::string correlation_id, std::string actor = {});
    /// Another worker by the order of one that is there, on the same device.
    [[nodiscard]] boost::asio::awaitable<Checked<api::WorkerInfo>>
    spawn_like(Supervisor::Order order);
    /// Whether there is room now for a worker by this order, on its device.
    [[nodiscard]] boost::asio::awaitable<Result<void>> room_for(Supervisor::Order order);

private:
    [[nodiscard]] boost::asio::awaitable<Checked<api::WorkerInfo>>
    attempt(api::SpawnRequest request, std::string correlation_id, std::string actor);
    [[nodiscard]] boost::asio::awaitable<Checked<Place>>
    place(Supervisor::Order order, std::optional<std::uint32_t> device);
    [[nodiscard]] boost::asio::awaitable<Checked<api::WorkerInfo>>
    place_and_start(Supervisor::Order order, std::optional<std::uint32_t> device);
    [[nodiscard]] Result<void> check_room() const;
    /// `request` must stay valid until the call completes.
    [[nodiscard]] boost::asio::awaitable<Result<Model>> find_model(const api::SpawnRequest* request
    );

    Dependencies with_;
};

} // namespace rbee::hive
