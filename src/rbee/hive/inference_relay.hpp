#pragma once

#include "rbee/api/deadlines.hpp"
#include "rbee/api/route_fields.hpp"
#include "rbee/api/running.hpp"
#include "rbee/base/cancel.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/restarter.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/relay.hpp"
#include "rbee/http/router.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace rbee::hive {

/// Passes inference requests on to workers and their answers back. A request is sent to one worker
/// at most once. Belongs to one loop; stop() before it goes.
class InferenceRelay {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        HiveMetrics& metrics;
        WorkerRegistry& registry;
        Supervisor& supervisor;
        Restarter& restarter; ///< Learns of workers that prove themselves.
        http::Client& client;
        api::Deadlines& deadlines;
    };

    explicit InferenceRelay(Dependencies dependencies);

    /// Adds every inference path and DELETE /v1/inference/{id}.
    void add_routes(http::Router& router);
    /// Joins the cancels that are still on their way.
    [[nodiscard]] boost::asio::awaitable<void> stop() { return tasks_.stop(); }

private:
    /// What is known of one request while it runs.
    struct Job {
        std::string worker_id;
        std::uint64_t generation = 0; ///< Of the worker's process, see WorkerRegistry::Entry.
        RelayEnd end = RelayEnd::refused;
        bool stream = false;
        std::unique_ptr<api::RequestDeadline> deadline = {};
        CancelSource upstream = {}; ///< Of the call to the worker: the client's, or its death.
        bool died = false;          ///< Its worker did.
    };
    class Listed;

    [[nodiscard]] boost::asio::awaitable<void> handle(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> handle_cancel(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> serve(http::Exchange& exchange, Job& job);
    [[nodiscard]] boost::asio::awaitable<void>
    forward(http::Exchange& exchange, Job& job, std::string body);
    [[nodiscard]] boost::asio::awaitable<void>
    pass_back(http::Exchange& exchange, Job& job, http::ResponseStream& upstream);
    /// The worker is dying: those who wait for it learn so now, not when the kernel has taken its
    /// memory apart and closes its sockets.
    void break_off(const std::string& worker_id);
    [[nodiscard]] boost::asio::awaitable<void>
    refuse_unsent(http::Exchange& exchange, const Job& job, Error error);
    [[nodiscard]] boost::asio::awaitable<Error> explain(const Job& job, Error error);
    [[nodiscard]] boost::asio::awaitable<std::string>
    frame_for(const http::Exchange& exchange, const Job& job, Error error);
    [[nodiscard]] boost::asio::awaitable<void>
    send_cancel(std::string worker_id, std::string request_id);

    Dependencies with_;
    api::RunningRequests running_;
    std::set<Job*> jobs_; ///< Those that are with a worker.
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
