#pragma once

#include "rbee/api/client.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/hive_view.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

namespace rbee::hive {

/// Reports to the queen: on a beat, and soon after each change. An outage is logged once, and once
/// when it is over. Belongs to one loop.
class QueenLink {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        HiveMetrics& metrics;
        HiveView& view;
        const Intervals& intervals;
    };

    QueenLink(Dependencies dependencies, api::ApiClient queen)
        : with_(dependencies), queen_(std::move(queen)), woken_(dependencies.timers) {}

    /// The token of reports from now on.
    void set_token(Secret token) { queen_.set_token(std::move(token)); }
    /// Something changed that the queen should know.
    void changed();
    /// Reports until cancelled.
    [[nodiscard]] boost::asio::awaitable<void> run();
    /// Tells the queen once more, for example that the workers have gone.
    [[nodiscard]] boost::asio::awaitable<Result<void>> send();

private:
    Dependencies with_;
    api::ApiClient queen_;
    bool changed_ = true;
    runtime::Notifier woken_;
};

} // namespace rbee::hive
