#include "rbee/queen/app.hpp"

#include "rbee/api/gate.hpp"
#include "rbee/api/running.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/auth/token_source.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"
#include "rbee/http/url.hpp"
#include "rbee/process/listener.hpp"
#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/gateway.hpp"
#include "rbee/queen/hive_client.hpp"
#include "rbee/queen/hive_report.hpp"
#include "rbee/queen/hive_routes.hpp"
#include "rbee/queen/info_routes.hpp"
#include "rbee/queen/local_hive.hpp"
#include "rbee/queen/metrics.hpp"
#include "rbee/queen/node_store.hpp"
#include "rbee/queen/worker_routes.hpp"
#include "rbee/runtime/signals.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/store/database.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace rbee::queen {

namespace asio = boost::asio;

namespace {

constexpr Duration hive_ready_max = std::chrono::seconds(10);
constexpr Duration drain_max = std::chrono::seconds(18);
constexpr Duration hive_stop_max = std::chrono::seconds(10);
constexpr Duration hurried_stop_max = std::chrono::seconds(2);
constexpr Duration sweep_every = std::chrono::seconds(5);
/// A hive that has not reported for this long is asked: it may have been added by its URL.
constexpr Duration ask_after = std::chrono::seconds(15);

std::string url_of(const std::string& host, std::uint16_t port) {
    const bool any = host == "0.0.0.0" || host == "::";
    return http::Endpoint{any ? "127.0.0.1" : host, port, {}}.to_string();
}

/// Members in the order in which they are built; this list is the architecture of the queen.
class App {
public:
    App(const Options& options,
        Resources resources,
        telemetry::Logger log,
        std::unique_ptr<store::Database> database);
    [[nodiscard]] Result<void> run();

private:
    [[nodiscard]] asio::awaitable<void> main();
    [[nodiscard]] asio::awaitable<Result<void>> serve();
    [[nodiscard]] asio::awaitable<Result<void>> load_nodes();
    [[nodiscard]] asio::awaitable<void> start_local_hive();
    [[nodiscard]] asio::awaitable<void> ask_hive(std::string name);
    [[nodiscard]] asio::awaitable<void> sweep_loop();
    [[nodiscard]] asio::awaitable<void> signal_loop();
    [[nodiscard]] asio::awaitable<void> stop_all();
    void request_stop();
    [[nodiscard]] std::int64_t now_unix() const {
        return to_unix_ms(timers_.clock().wall()) / 1000;
    }

    const Options& options_;
    Resources resources_;
    telemetry::Logger log_;
    asio::io_context context_{1};
    std::unique_ptr<store::Database> database_; ///< Its thread uses the loop above.
    runtime::SystemTimers timers_{context_.get_executor()};
    telemetry::Metrics metrics_;
    QueenMetrics queen_metrics_{metrics_};
    auth::Authenticator authenticator_;
    http::Reaper reaper_{context_.get_executor()};
    http::Client client_{context_.get_executor(), reaper_};
    NodeStore nodes_;
    Fleet fleet_{timers_.clock(), options_.worker_silence};
    HiveClient hives_;
    Dispatcher dispatcher_;
    api::RunningRequests running_;
    api::Gate gate_;
    Gateway gateway_;
    InfoRoutes info_routes_;
    WorkerRoutes worker_routes_;
    HiveRoutes hive_routes_;
    http::Server server_;
    std::optional<LocalHive> local_hive_;
    std::string url_;
    int stop_requests_ = 0;
    std::optional<Error> failure_;
    runtime::Notifier stop_requested_{timers_};
    runtime::TaskGroup tasks_;
};

App::App(
    const Options& options,
    Resources resources,
    telemetry::Logger log,
    std::unique_ptr<store::Database> database
)
    : options_(options), resources_(std::move(resources)), log_(std::move(log)),
      database_(std::move(database)), nodes_(*database_), hives_(client_, resources_.token.clone()),
      dispatcher_(
          {fleet_, hives_, timers_, log_, queen_metrics_},
          {.capacity = options.queue_capacity, .wait_max = options.queue_wait}
      ),
      gate_(authenticator_, log_, metrics_, "rbee_queen"),
      gateway_({fleet_, dispatcher_, hives_, running_, timers_.clock(), log_, queen_metrics_}),
      info_routes_({fleet_, dispatcher_, running_, timers_.clock(), [this] { request_stop(); }}),
      worker_routes_({fleet_, hives_, log_}), hive_routes_({fleet_, hives_, nodes_, timers_, log_}),
      server_(context_.get_executor(), reaper_, {}),
      tasks_(context_.get_executor(), telemetry::log_task_failures(log_)) {
    if (!resources_.token.empty()) {
        authenticator_.accept(resources_.token);
    } else {
        log_.warn("dev_mode", "authentication is off: only this machine can reach this queen");
    }
    info_routes_.mount(gate_.router());
    gateway_.mount(gate_.router());
    worker_routes_.mount(gate_.router());
    hive_routes_.mount(gate_.router());
    gate_.attach(server_);
}

Result<void> App::run() {
    std::exception_ptr crash;
    asio::co_spawn(context_, main(), [&](std::exception_ptr error) {
        crash = std::move(error);
        context_.stop();
    });
    context_.run();
    if (crash) {
        std::rethrow_exception(crash);
    }
    if (failure_) {
        return std::unexpected(*failure_);
    }
    return {};
}

void App::request_stop() {
    ++stop_requests_;
    stop_requested_.notify_all();
}

asio::awaitable<void> App::signal_loop() {
    while (true) {
        const int signal = co_await runtime::wait_signal({SIGTERM, SIGINT});
        log_.info("signal", "asked to stop", {{"signal", signal}});
        request_stop();
    }
}

asio::awaitable<void> App::main() {
    tasks_.start(signal_loop(), "signals");
    const auto served = co_await serve();
    if (!served) {
        failure_ = served.error();
    } else {
        co_await start_local_hive();
        if (stop_requests_ == 0) {
            resources_.announce("queen-rbee ready " + url_);
            log_.info("ready", "queen-rbee serves", {{"url", url_}});
        }
        tasks_.start(sweep_loop(), "sweep");
        while (stop_requests_ == 0) {
            co_await stop_requested_.wait();
        }
    }
    co_await stop_all();
}

asio::awaitable<Result<void>> App::serve() {
    auto listener = process::listen_tcp(options_.host, options_.port);
    if (!listener) {
        co_return error_of(listener);
    }
    url_ = url_of(options_.host, listener->port);
    const auto loaded = co_await load_nodes();
    if (!loaded) {
        co_return std::unexpected(loaded.error().within("node registry " + options_.database));
    }
    auto serving = server_.serve(std::move(listener->fd));
    co_return serving;
}

asio::awaitable<Result<void>> App::load_nodes() {
    const auto nodes = co_await nodes_.list();
    if (!nodes) {
        co_return error_of(nodes);
    }
    for (const Node& node : *nodes) {
        auto endpoint = http::parse_endpoint(node.url);
        if (!endpoint) {
            log_.warn("node_skipped", "a node has no usable URL", {{"hive", node.name}});
            continue;
        }
        fleet_.add_hive(node.name, std::move(*endpoint));
        tasks_.start(ask_hive(node.name), "ask hive");
    }
    co_return Result<void>();
}

asio::awaitable<void> App::start_local_hive() {
    bool others = false;
    for (const auto& [name, hive] : fleet_.hives()) {
        others = others || name != local_hive_name;
    }
    const LocalHiveMode mode = options_.local_hive;
    if (mode == LocalHiveMode::never || (mode == LocalHiveMode::automatic && others)) {
        co_return;
    }
    LocalHive::Settings settings{
        .binary = options_.hive_binary,
        .port = options_.local_hive_port,
        .queen_url = url_,
        .models_dir = options_.models_dir,
        .slots = options_.slots,
        .log_path = options_.home + "/logs/hive-localhost.log",
        .environment = resources_.child_environment,
        .token = resources_.token.clone(),
    };
    local_hive_.emplace(LocalHive::Parts{fleet_, hives_, timers_, log_}, std::move(settings));
    co_await local_hive_->start();
    const TimePoint due = timers_.clock().now() + hive_ready_max;
    bool ready = false;
    while (!ready && stop_requests_ == 0 && local_hive_->hopeful() && timers_.clock().now() < due) {
        ready = co_await local_hive_->wait_ready(
            timers_.clock().now() + std::chrono::milliseconds(100)
        );
    }
    if (!ready && stop_requests_ == 0) {
        log_.error(
            "hive_not_ready", "the local hive has not reported yet; see logs/hive-localhost.log"
        );
    }
}

// Background
// ---------------------------------------------------------------------------------------

asio::awaitable<void> App::ask_hive(std::string name) {
    const Hive* hive = fleet_.find_hive(name);
    if (hive == nullptr) {
        co_return;
    }
    auto report = co_await hives_.report(hive->endpoint);
    hive = fleet_.find_hive(name);
    if (hive == nullptr) {
        co_return; // removed meanwhile
    }
    if (report) {
        if (const auto good = check_version(report->version); !good) {
            fleet_.unreachable(name, good.error().what);
            co_return;
        }
        report->hive_id = name;
        report->url = hive->endpoint.to_string();
        const auto taken = co_await take_report(&fleet_, &nodes_, std::move(*report), now_unix());
        if (!taken) {
            log_.warn("node_not_stored", taken.error().what, {{"hive", name}});
        }
        co_return;
    }
    if (hive->available && report.error().code == Errc::unavailable) {
        log_.warn("hive_unavailable", report.error().what, {{"hive", name}});
        fleet_.unreachable(name, "connection refused");
        const auto noted = co_await nodes_.note_status(name, "unreachable", std::nullopt);
        (void)noted; // the live view counts; the next contact writes it again
    }
}

asio::awaitable<void> App::sweep_loop() {
    while (true) {
        co_await timers_.sleep_for(std::min<Duration>(sweep_every, options_.worker_silence / 4));
        for (const std::string& line : fleet_.sweep()) {
            log_.warn("sweep", line);
        }
        for (const auto& [name, hive] : fleet_.hives()) {
            if (timers_.clock().now() - hive.last_report > ask_after) {
                tasks_.start(ask_hive(name), "ask hive");
            }
        }
    }
}

asio::awaitable<void> App::stop_all() {
    log_.info("stopping", "finishing running requests", {{"running", running_.count()}});
    const int requests_before = stop_requests_;
    server_.drain();
    co_await dispatcher_.stop();
    const TimePoint due = timers_.clock().now() + drain_max;
    while (server_.active_requests() != 0 && timers_.clock().now() < due &&
           stop_requests_ <= requests_before) {
        co_await timers_.sleep_for(std::chrono::milliseconds(20));
    }
    if (local_hive_) {
        const bool hurry = stop_requests_ > requests_before;
        co_await local_hive_->stop(hurry ? hurried_stop_max : hive_stop_max);
    }
    co_await server_.stop();
    co_await tasks_.stop();
    client_.close_idle();
    reaper_.stop();
    log_.info("stopped", "queen-rbee has stopped");
}

} // namespace

Result<Secret> load_token(const Options& options, const config::Environment& environment) {
    auto found = auth::find_token(options.token_file, environment);
    if (!found) {
        return error_of(found);
    }
    if (const auto good = auth::check_bind({options.host, options.port, {}}, found->token); !good) {
        return error_of(good);
    }
    return std::move(found->token);
}

Result<void> run_queen(const Options& options, Resources resources) {
    std::error_code ignored; // a folder that cannot be made shows in the next step
    std::filesystem::create_directories(options.home + "/logs", ignored);
    auto log = telemetry::Logger::open(
        {.component = "queen-rbee", .format = options.log.format, .level = options.log.level}
    );
    if (!log) {
        return error_of(log);
    }
    auto database = store::Database::open(options.database, NodeStore::migrations());
    if (!database) {
        return std::unexpected(database.error().within("cannot open " + options.database));
    }
    App app(options, std::move(resources), std::move(*log), std::move(*database));
    auto ended = app.run();
    return ended;
}

} // namespace rbee::queen
