#include "rbee/queen/local_hive.hpp"

#include "rbee/auth/token.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/http/url.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;

namespace {

constexpr int lifeline_child_fd = 3;
constexpr int token_child_fd = 4;
constexpr int queen_token_child_fd = 5;
constexpr Duration probe_max = std::chrono::milliseconds(500);
constexpr Duration backoff_first = std::chrono::seconds(1);
constexpr Duration backoff_last = std::chrono::seconds(60);
/// A hive that ran this long had no trouble starting: the next backoff begins anew.
constexpr Duration settled_after = std::chrono::seconds(60);

} // namespace

LocalHive::LocalHive(Parts parts, Settings settings)
    : fleet_(parts.fleet), hives_(parts.hives), timers_(parts.timers), log_(parts.log),
      settings_(std::move(settings)),
      tasks_(parts.timers.executor(), telemetry::log_task_failures(parts.log)) {}

process::Command LocalHive::command(const Handed& fds) const {
    process::Command out;
    out.program = settings_.binary;
    out.args = {
        "--host",
        "127.0.0.1",
        "--port",
        std::to_string(settings_.port),
        "--queen-url",
        settings_.queen_url,
        "--node-name",
        local_hive_name,
        "--inference-body-mb",
        std::to_string(settings_.inference_body_mb),
    };
    if (!settings_.models_dir.empty()) {
        out.args.insert(out.args.end(), {"--models-dir", settings_.models_dir});
    }
    if (settings_.slots) {
        out.args.insert(out.args.end(), {"--slots", std::to_string(*settings_.slots)});
    }
    out.env = settings_.environment;
    if (!settings_.token_file.empty()) {
        out.args.insert(out.args.end(), {"--token-file", settings_.token_file});
    }
    const auto inherit = [&out](int fd, int child_fd, const char* option) {
        if (fd >= 0) {
            out.inherit.push_back({fd, child_fd});
            out.args.insert(out.args.end(), {option, std::to_string(child_fd)});
        }
    };
    inherit(fds.lifeline, lifeline_child_fd, "--lifeline-fd");
    inherit(fds.token, token_child_fd, "--token-fd");
    inherit(fds.queen_token, queen_token_child_fd, "--queen-token-fd");
    out.log_path = settings_.log_path;
    return out;
}

asio::awaitable<void> LocalHive::start() {
    adopted_ = settings_.port != 0 && co_await adopt();
    if (!adopted_) {
        tasks_.start(keep_running(), "local hive");
    }
}

asio::awaitable<bool> LocalHive::adopt() {
    const http::Endpoint endpoint{"127.0.0.1", settings_.port, {}};
    api::ApiClient::Request request;
    request.target = "/v1/health";
    http::CallOptions limits;
    limits.connect_limit = probe_max;
    limits.head_limit = probe_max;
    limits.body_limit = probe_max;
    const auto health = co_await hives_.call(endpoint, std::move(request), limits);
    if (!health) {
        co_return false;
    }
    auto report = co_await hives_.report(endpoint);
    if (!report) {
        // Something answers there, but it is not ours: leave it alone and take another port.
        log_.warn(
            "hive_foreign",
            "the port of the local hive belongs to another service: using a free port instead",
            {{"url", endpoint.to_string()}, {"cause", report.error().what}}
        );
        settings_.port = 0;
        co_return false;
    }
    log_.info(
        "hive_adopted", "a hive runs here already: using it", {{"url", endpoint.to_string()}}
    );
    fleet_.add_hive(local_hive_name, endpoint);
    report->hive_id = local_hive_name;
    fleet_.apply(std::move(*report));
    co_return true;
}

Result<void> LocalHive::launch() {
    auto lifeline = process::Lifeline::make();
    if (!lifeline) {
        return error_of(lifeline);
    }
    UniqueFd token;
    if (const Secret own = settings_.token ? settings_.token() : Secret(); !own.empty()) {
        auto handed = auth::hand_over(own);
        if (!handed) {
            return error_of(handed);
        }
        token = std::move(*handed);
    }
    Secret link_token = auth::make_token();
    const auto link = auth::hand_over(link_token);
    if (!link) {
        return error_of(link);
    }
    auto child = process::Child::spawn(
        timers_.executor(), command({lifeline->child_end(), token.get(), link->get()})
    );
    if (!child) {
        return error_of(child);
    }
    lifeline->close_child_end();
    lifeline_ = std::make_unique<process::Lifeline>(std::move(*lifeline));
    child_ = std::move(*child);
    link_token_ = std::make_shared<const Secret>(std::move(link_token));
    if (settings_.grant) {
        settings_.grant(*link_token_);
    }
    log_.info("hive_started", "the local hive was started", {{"pid", child_->pid()}});
    return {};
}

asio::awaitable<void> LocalHive::keep_running() {
    Duration backoff = backoff_first;
    while (!stopping_) {
        const TimePoint started = timers_.clock().now();
        const auto launched = launch();
        std::string why;
        if (launched) {
            const auto status = co_await child_->wait();
            why = status.describe();
        } else {
            why = launched.error().what;
        }
        if (stopping_) {
            break;
        }
        ++failures_;
        fleet_.unreachable(local_hive_name, "the hive ended: " + why);
        if (timers_.clock().now() - started > settled_after) {
            backoff = backoff_first;
        }
        const std::chrono::duration<double> delay = backoff;
        log_.error(
            "hive_ended",
            "the local hive ended; it will be started again",
            {{"cause", why}, {"delay_s", delay.count()}, {"log", settings_.log_path}}
        );
        co_await timers_.sleep_for(backoff);
        backoff = std::min(backoff * 2, backoff_last);
    }
}

asio::awaitable<bool> LocalHive::wait_ready(TimePoint due) {
    while (timers_.clock().now() < due && !stopping_ && hopeful()) {
        const Hive* hive = fleet_.find_hive(local_hive_name);
        if (hive != nullptr && hive->available) {
            co_return true;
        }
        co_await timers_.sleep_for(std::chrono::milliseconds(20));
    }
    co_return false;
}

asio::awaitable<void> LocalHive::stop(Duration grace) {
    stopping_ = true;
    if (child_ && child_->running()) {
        const Hive* hive = fleet_.find_hive(local_hive_name);
        if (hive != nullptr && hive->available) {
            api::ApiClient::Request request;
            request.method = "POST";
            request.target = "/v1/admin/shutdown";
            http::CallOptions limits;
            limits.connect_limit = std::min<Duration>(grace, std::chrono::seconds(2));
            limits.head_limit = limits.connect_limit;
            const auto asked = co_await hives_.call(hive->endpoint, std::move(request), limits);
            if (asked) {
                const auto gone = co_await child_->wait_until(timers_.clock().now() + grace);
                (void)gone; // stop() below looks again
            }
        }
        const auto outcome =
            co_await child_->stop(std::chrono::seconds(5), std::chrono::seconds(5));
        log_.info(
            "hive_stopped",
            "the local hive was stopped",
            {{"step", process::to_string(outcome.step)}, {"status", outcome.status.describe()}}
        );
    }
    co_await tasks_.stop();
}

} // namespace rbee::queen
