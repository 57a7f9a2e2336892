#pragma once

#include "rbee/api/client.hpp"
#include "rbee/api/types.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace rbee::worker {

/// Tells the hive about this worker. A hive that does not answer is logged and never fatal: it also
/// looks at the worker by itself. Belongs to the loop of its client.
class HiveLink {
public:
    /// `who` is the notice without state, slots and reason.
    HiveLink(
        runtime::Timers& timers, telemetry::Logger& log, api::ApiClient hive, api::ReadyNotice who
    );

    /// Another hive has taken over; it is told from now on.
    void move_to(api::ApiClient hive) { hive_ = std::make_shared<api::ApiClient>(std::move(hive)); }

    struct Change {
        domain::WorkerState state = domain::WorkerState::loading;
        std::uint32_t slots_total = 0;
        std::string reason = {};
    };
    /// POST /v1/workers/ready; up to three tries.
    [[nodiscard]] boost::asio::awaitable<void> notify(Change change);

    /// POST /v1/heartbeat every 30 s, beginning now, until cancelled.
    [[nodiscard]] boost::asio::awaitable<void> heartbeats(std::function<bool()> healthy);

private:
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    post(std::string target, boost::json::object body);

    runtime::Timers& timers_;
    telemetry::Logger& log_;
    std::shared_ptr<api::ApiClient> hive_; ///< Calls that run keep theirs.
    api::ReadyNotice who_;
};

} // namespace rbee::worker
