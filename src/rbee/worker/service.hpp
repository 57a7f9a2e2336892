#pragma once

#include "rbee/api/gate.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/server.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/worker/admin_routes.hpp"
#include "rbee/worker/core.hpp"
#include "rbee/worker/engine_routes.hpp"
#include "rbee/worker/inference_routes.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <utility>

namespace rbee::worker {

/// The worker without its process: one model, its slots and its HTTP endpoints. Belongs to one
/// event loop; must outlive the server that it is attached to.
class WorkerService {
public:
    /// `shutdown` is called when a client asks the worker to stop.
    WorkerService(
        Settings settings,
        Outside outside,
        const auth::Authenticator& authenticator,
        std::function<void()> shutdown
    );

    /// Gives the endpoints to a server.
    void attach(http::Server& server) { gate_.attach(server); }
    /// `take_hive` is called when another hive takes this worker over; its failure refuses that.
    void on_hive(std::function<Result<void>(const HiveNotice&)> take_hive) {
        admin_.on_hive(std::move(take_hive));
    }
    /// What it serves.
    [[nodiscard]] const http::Router& routes() { return gate_.router(); }

    /// Loads the model on a thread of `pool`, which must outlive the call; progress shows at the
    /// endpoints meanwhile. Then takes requests, or has failed for good.
    [[nodiscard]] boost::asio::awaitable<Result<void>> load(runtime::BlockingPool* pool);

    /// Watches the engine and keeps slow metrics fresh; runs until cancelled.
    [[nodiscard]] boost::asio::awaitable<void> watch();

    /// Takes no new work and waits for what runs: up to the drain limit, then it is cancelled.
    [[nodiscard]] boost::asio::awaitable<void> drain();
    /// Cancels what runs now; a drain() then ends soon.
    void hurry();

    [[nodiscard]] const WorkerStatus& status() const { return core_.status; }
    [[nodiscard]] std::uint32_t slots_total() const { return core_.slots.total(); }
    [[nodiscard]] std::uint32_t slots_busy() const { return core_.slots.busy(); }

private:
    [[nodiscard]] engine::Engine::ProgressFn report_progress();

    Core core_;
    api::Gate gate_;
    InferenceRoutes inference_;
    EngineRoutes engine_;
    AdminRoutes admin_;
    bool hurried_ = false;
};

} // namespace rbee::worker
