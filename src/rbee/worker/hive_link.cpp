#include "rbee/worker/hive_link.hpp"

#include <boost/json/object.hpp>

#include <array>
#include <chrono>
#include <utility>

namespace rbee::worker {

namespace asio = boost::asio;

namespace {

constexpr Duration call_limit = std::chrono::seconds(5);
constexpr Duration heartbeat_period = std::chrono::seconds(30);
/// Waits before each try.
constexpr std::array<Duration, 3> waits = {
    Duration::zero(), std::chrono::milliseconds(200), std::chrono::milliseconds(400)
};

} // namespace

HiveLink::HiveLink(
    runtime::Timers& timers, telemetry::Logger& log, api::ApiClient hive, api::ReadyNotice who
)
    : timers_(timers), log_(log), hive_(std::make_shared<api::ApiClient>(std::move(hive))),
      who_(std::move(who)) {}

asio::awaitable<Result<void>> HiveLink::post(std::string target, boost::json::object body) {
    http::CallOptions options;
    options.connect_limit = call_limit;
    options.head_limit = call_limit;
    options.body_limit = call_limit;
    api::ApiClient::Request request{
        .method = "POST", .target = std::move(target), .body = std::move(body)
    };
    const auto hive = hive_;
    const auto answer = co_await hive->call(std::move(request), options);
    if (!answer) {
        co_return error_of(answer);
    }
    co_return Result<void>();
}

asio::awaitable<void> HiveLink::notify(Change change) {
    api::ReadyNotice notice = who_;
    notice.state = change.state;
    notice.slots_total = change.slots_total;
    notice.reason = std::move(change.reason);
    const std::string_view state = domain::to_string(change.state);
    std::string cause;
    for (const Duration wait : waits) {
        if (wait > Duration::zero()) {
            co_await timers_.sleep_for(wait);
        }
        const auto told = co_await post("/v1/workers/ready", api::to_json(notice));
        if (told) {
            log_.debug("callback_ready", "the hive was told", {{"state", state}});
            co_return;
        }
        cause = told.error().what;
        if (told.error().code == Errc::unauthenticated) {
            break; // the same token will be refused again
        }
    }
    log_.warn(
        "callback_failed", "the hive could not be told", {{"state", state}, {"cause", cause}}
    );
}

asio::awaitable<void> HiveLink::heartbeats(std::function<bool()> healthy) {
    while (true) {
        boost::json::object body{
            {"worker_id", who_.worker_id},
            {"timestamp", to_rfc3339(timers_.clock().wall())},
            {"health_status", healthy() ? "healthy" : "degraded"},
        };
        const auto told = co_await post("/v1/heartbeat", std::move(body));
        if (!told) {
            log_.warn(
                "heartbeat_failed", "a heartbeat did not arrive", {{"cause", told.error().what}}
            );
        }
        co_await timers_.sleep_for(heartbeat_period);
    }
}

} // namespace rbee::worker
