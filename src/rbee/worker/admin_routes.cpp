#include "rbee/worker/admin_routes.hpp"

#include "rbee/api/gate.hpp"
#include "rbee/api/json.hpp"
#include "rbee/http/sse.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace rbee::worker {

namespace asio = boost::asio;
namespace json = boost::json;

using Phase = WorkerStatus::Phase;

namespace {

constexpr const char* progress_path = "/v1/loading/progress";
constexpr std::size_t hive_notice_bytes_max = 4096;

std::string progress_event(const engine::LoadProgress& progress) {
    const json::object event{
        {"stage", "loading_to_vram"},
        {"layers_loaded", progress.layers_loaded},
        {"layers_total", progress.layers_total},
        {"vram_mb", 0}, // nothing leaves main memory on a CPU
        {"loaded_bytes", progress.loaded_bytes},
        {"fraction", std::round(static_cast<double>(progress.fraction) * 1000) / 1000},
    };
    return http::format_sse(json::serialize(event));
}

/// How a progress stream ends, once loading is over.
std::string last_events(const WorkerStatus& status) {
    json::object event{{"stage", "ready"}};
    if (status.phase() != Phase::ready) {
        const bool failed = status.phase() == Phase::failed;
        event["stage"] = "error";
        event["message"] = failed ? status.reason() : "the worker is shutting down";
    }
    return http::format_sse(json::serialize(event)) + http::format_sse("[DONE]");
}

} // namespace

void AdminRoutes::install(http::Router& router) {
    const auto add = [&](const char* method, const char* path, auto member, http::Access access) {
        router.add(
            method,
            path,
            [this, member](http::Exchange& exchange) { return (this->*member)(exchange); },
            access
        );
    };
    for (const char* path : {"/health", "/v1/health"}) {
        add("GET", path, &AdminRoutes::health, http::Access::open);
    }
    add("GET", "/v1/ready", &AdminRoutes::ready, http::Access::models);
    add("GET", progress_path, &AdminRoutes::progress, http::Access::models);
    for (const char* path : {"/v1/admin/shutdown", "/v1/shutdown", "/shutdown"}) {
        add("POST", path, &AdminRoutes::shutdown, http::Access::admin);
    }
    add("POST", "/v1/admin/hive", &AdminRoutes::hive, http::Access::admin);
}

asio::awaitable<void> AdminRoutes::health(http::Exchange& exchange) {
    const bool healthy = core_.status.phase() != Phase::failed;
    json::object body{
        {"status", healthy ? "healthy" : "unhealthy"},
        {"version", RBEE_VERSION},
        {"api_version", "v1"},
        {"vram_bytes", 0},
        {"state", core_.status.name(core_.slots.busy())},
    };
    co_await api::respond_json(exchange, healthy ? 200 : 503, std::move(body));
}

asio::awaitable<void> AdminRoutes::ready(http::Exchange& exchange) {
    const Phase phase = core_.status.phase();
    json::object body{
        {"ready", phase == Phase::ready}, {"state", core_.status.name(core_.slots.busy())}
    };
    if (phase == Phase::ready) {
        body["model_loaded"] = true;
        body["model"] = core_.settings.model_name;
        body["slots_total"] = core_.slots.total();
        body["slots_busy"] = core_.slots.busy();
    } else if (phase == Phase::loading) {
        body["progress_url"] = progress_path;
    } else if (!core_.status.reason().empty()) {
        body["reason"] = core_.status.reason();
    }
    co_await api::respond_json(exchange, 200, std::move(body));
}

asio::awaitable<void> AdminRoutes::progress(http::Exchange& exchange) {
    if (core_.status.phase() == Phase::draining || core_.status.phase() == Phase::failed) {
        const auto refused = core_.status.check_ready();
        co_await api::respond_error(exchange, refused.error());
        co_return;
    }
    http::Headers headers;
    headers.add("Content-Type", "text/event-stream");
    headers.add("Cache-Control", "no-cache");
    auto sent = co_await exchange.begin_stream(200, std::move(headers));
    bool changed = true;
    while (sent && core_.status.phase() == Phase::loading) {
        const std::string event =
            changed ? progress_event(core_.status.loaded()) : std::string(": keep-alive\n\n");
        sent = co_await exchange.write(event);
        if (!sent || core_.status.phase() != Phase::loading) {
            break; // it may have changed while this was written
        }
        const TimePoint due = core_.timers.clock().now() + core_.settings.keep_alive_period;
        changed = co_await core_.status.changed(due);
    }
    if (!sent) {
        co_return;
    }
    const std::string events = last_events(core_.status);
    sent = co_await exchange.write(events);
    if (sent) {
        sent = co_await exchange.end_stream();
    }
}

asio::awaitable<void> AdminRoutes::shutdown(http::Exchange& exchange) {
    core_.log.with_correlation(exchange.correlation_id())
        .info("shutdown_requested", "shutdown was requested", {{"identity", exchange.actor}});
    core_.status.drain();
    json::object body{{"message", "shutting down"}, {"state", "draining"}};
    co_await api::respond_json(exchange, 202, std::move(body));
    shutdown_();
}

Result<void> AdminRoutes::take_hive(std::string_view body) {
    const auto object = api::parse_object(body);
    if (!object) {
        return error_of(object);
    }
    auto url = api::require_string(*object, "hive_url");
    const auto pid = api::get_unsigned(*object, "hive_pid");
    const auto ticks = api::get_unsigned(*object, "hive_start_ticks");
    if (!url || !pid || !ticks) {
        return !url ? error_of(url) : !pid ? error_of(pid) : error_of(ticks);
    }
    constexpr std::uint64_t pid_max = 1ULL << 30U; // the kernel's own bound is 2^22
    const std::uint64_t number = pid->value_or(0);
    const HiveNotice notice{std::move(*url), static_cast<pid_t>(number), ticks->value_or(0)};
    if (number == 0 || number > pid_max || notice.start_ticks == 0) {
        return fail(Errc::invalid_argument, "hive_pid and hive_start_ticks must tell a process");
    }
    if (!take_hive_) {
        return fail(Errc::conflict, "this worker belongs to no hive");
    }
    return take_hive_(notice);
}

asio::awaitable<void> AdminRoutes::hive(http::Exchange& exchange) {
    const auto body = co_await exchange.read_body(hive_notice_bytes_max);
    const auto taken = body ? take_hive(*body) : error_of(body);
    if (!taken) {
        co_await api::respond_error(exchange, taken.error());
        co_return;
    }
    json::object answer{
        {"worker_id", core_.settings.worker_id},
        {"pid", ::getpid()},
        {"ready", core_.status.phase() == Phase::ready},
        {"state", core_.status.name(core_.slots.busy())},
        {"slots_total", core_.slots.total()},
    };
    co_await api::respond_json(exchange, 200, std::move(answer));
}

} // namespace rbee::worker
