#include "rbee/hive/app.hpp"

#include "rbee/hive/live_settings.hpp"
#include "rbee/runtime/signals.hpp"
#include "rbee/telemetry/task_failure.hpp"
#include "rbee/telemetry/write_behind.hpp"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <utility>
#include <vector>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

/// The directory whose disk is measured: the first that holds models.
std::string disk_of(const Settings& settings) {
    return settings.model_dirs.empty() ? "/" : settings.model_dirs.front();
}

} // namespace

/// What was opened for it before it was there.
struct HiveApp::Opened {
    telemetry::Logger log;
    process::Listener listener;
    std::unique_ptr<audit::Logger> audit;
};

Result<std::unique_ptr<HiveApp>> HiveApp::create(Settings settings, ReloadHooks hooks) {
    telemetry::Logger::Options options;
    options.component = "rbee-hive";
    options.format = settings.log.format;
    options.level = settings.log.level;
    auto log = telemetry::Logger::open(std::move(options));
    if (!log) {
        return error_of(log);
    }
    if (settings.tls.on()) { // before a socket listens that could not be served
        const auto usable = pki::server_context(settings.tls);
        if (!usable) {
            return error_of(usable);
        }
    }
    auto listener = process::listen_tcp(settings.listen.host, settings.listen.port);
    if (!listener) {
        return error_of(listener);
    }
    settings.listen.port = listener->port;
    auto audit = audit::open_service_log(settings.audit, "rbee-hive", *log);
    if (!audit) {
        return error_of(audit);
    }
    Opened opened{std::move(*log), std::move(*listener), std::move(*audit)};
    auto app = std::unique_ptr<HiveApp>(new HiveApp(std::move(settings), std::move(opened)));
    app->hooks_ = std::move(hooks);
    app->config_.observe(audit::config_observer(app->audit_.get(), app->hooks_.on_config));
    app->config_.tell();
    if (const auto loaded = app->load_tokens(); !loaded) {
        return error_of(loaded);
    }
    return app;
}

HiveApp::HiveApp(Settings settings, Opened opened)
    : settings_(std::move(settings)), log_(std::move(opened.log)), audit_(std::move(opened.audit)),
      listener_(std::move(opened.listener)), models_(settings_.model_dirs),
      machine_(
          timers_.clock(),
          pool_,
          {.disk_of = disk_of(settings_),
           .log_dir = settings_.worker.log_dir,
           .worker_backends = settings_.worker.backends,
           .environment = settings_.worker.environment}
      ),
      view_({timers_.clock(), registry_, models_, machine_, pool_}),
      supervisor_(
          {timers_, log_, hive_metrics_, registry_, launcher_, client_, settings_, authenticator_}
      ),
      deaths_({timers_, log_, hive_metrics_, registry_, pool_, settings_}),
      adoption_({timers_, log_, supervisor_, registry_, pool_, settings_}),
      resources_({settings_, machine_, supervisor_, log_}),
      idle_({timers_, log_, registry_, supervisor_, settings_.idle}), spawner_(
                                                                          {settings_,
                                                                           models_,
                                                                           resources_,
                                                                           supervisor_,
                                                                           start_gate_,
                                                                           restarter_,
                                                                           hive_metrics_,
                                                                           pool_,
                                                                           log_}
                                                                      ),
      deadlines_({deadline_timers_, log_, metrics_, "rbee_hive"}, {domain::inner_hop_policy()}),
      relay_({timers_, log_, hive_metrics_, registry_, supervisor_, restarter_, client_, deadlines_}
      ),
      routes_(
          {timers_,
           settings_,
           registry_,
           supervisor_,
           spawner_,
           rolling_,
           view_,
           deaths_.store(),
           pool_,
           [this](std::string reason) { begin_stop(std::move(reason)); }}
      ),
      monitor_({timers_, log_, hive_metrics_, registry_, supervisor_, machine_, pool_, settings_}),
      tasks_(loop_.get_executor(), telemetry::log_task_failures(log_)) {
    view_.set_identity({settings_.node_name, public_url()});
    supervisor_.set_hive_url(own_url());
    supervisor_.set_death_watch(death_watch_);
    limit_worker_memory();
    build_routes();
    if (settings_.queen) {
        queen_.emplace(
            QueenLink::Dependencies{timers_, log_, hive_metrics_, view_, settings_.intervals},
            api::ApiClient(client_, *settings_.queen, settings_.queen_token.clone())
        );
    }
    if (queen_ && settings_.queen_token.empty()) {
        tokens_.on_load([this](Secret outgoing) { queen_->set_token(std::move(outgoing)); });
    }
    if (audit_) {
        worker_audit_.emplace(*audit_, settings_.node_name);
        worker_audit_->attach(supervisor_);
        worker_audit_->attach(start_gate_);
    }
    deaths_.attach(supervisor_); // behind all who decide about restarts
    registry_.on_rest([this](const WorkerRegistry::Entry&) { idle_.changed(); });
    registry_.on_change([this] {
        adoption_.changed();
        hive_metrics_.refresh(registry_.list(), machine_.last().resources);
        deaths_.look();
        idle_.changed();
        if (queen_) {
            queen_->changed();
        }
    });
}

void HiveApp::follow_adopted() {
    supervisor_.for_each_slot([this](const Supervisor::Slot& slot) {
        // Each restart since the worker was last in service for long was one of its attempts.
        restarter_.follow(slot.info.id, {.attempts = slot.info.restart_count});
    });
}

Result<void> HiveApp::load_tokens() {
    if (auto loaded = tokens_.load(); !loaded) {
        return loaded;
    }
    if (settings_.queen_digest) {
        authenticator_.grant(
            {.name = "queen", .digest = *settings_.queen_digest, .scopes = auth::Scopes::all()}
        );
    } else if (settings_.accept_queen_token) {
        authenticator_.grant("queen", settings_.queen_token, auth::Scopes::all());
    }
    tokens_.tell();
    return {};
}

void HiveApp::limit_worker_memory() {
    if (settings_.worker.memory_bytes_max == 0) {
        return;
    }
    if (const auto limited = launcher_.limit_memory(settings_.worker.memory_bytes_max); !limited) {
        log_.warn("worker_memory_unlimited", limited.error().what);
    }
}

void HiveApp::build_routes() {
    routes_.add_routes(gate_.router());
    relay_.add_routes(gate_.router());
    gate_.attach(server_);
}

std::function<Result<void>(const http::Exchange&, http::Access)>
HiveApp::connection_rule(const pki::TlsFiles& files) {
    if (!files.on()) {
        return nullptr;
    }
    const bool mutual = !files.ca.empty();
    return [mutual](const http::Exchange& exchange, http::Access needed) -> Result<void> {
        if (!exchange.secure() && needed != http::Access::worker) {
            return fail(Errc::forbidden, "this port is for workers", "CERTIFICATE_REQUIRED");
        }
        const bool queen = !mutual || exchange.peer_identity().starts_with("queen:");
        if (exchange.secure() && needed != http::Access::metrics && !queen) {
            return fail(
                Errc::forbidden,
                "this hive talks to its queen only, who must show her certificate",
                "CERTIFICATE_REQUIRED"
            );
        }
        return {};
    };
}

Result<void> HiveApp::serve() {
    if (const auto loaded = tls_.load(); !loaded) {
        return loaded;
    }
    if (!tls_.on()) {
        return server_.serve(std::move(listener_.fd));
    }
    view_.set_identity({settings_.node_name, public_url()}); // by the certificate, known only now
    auto for_workers = process::listen_tcp("127.0.0.1", 0);
    if (!for_workers) {
        return error_of(for_workers);
    }
    supervisor_.set_hive_url(
        http::Endpoint{.host = "127.0.0.1", .port = for_workers->port, .unix_path = {}}.to_string()
    );
    const auto serving = server_.serve(std::move(for_workers->fd));
    return serving ? server_.serve(std::move(listener_.fd), http::Server::Security::tls) : serving;
}

/// Where the queen reaches this hive. One that listens everywhere takes a name of its certificate.
std::string HiveApp::public_url() const {
    if (!settings_.public_url.empty()) {
        return settings_.public_url;
    }
    const std::string& host = settings_.listen.host;
    if (host == "0.0.0.0" || host == "::" || host.empty()) {
        for (const std::string& name : tls_.certificate().hosts) {
            http::Endpoint named = settings_.listen;
            named.host = name;
            named.secure = true;
            if (!http::is_loopback(named)) {
                return named.to_string();
            }
        }
    }
    return own_url();
}

std::string HiveApp::own_url() const {
    http::Endpoint reached = settings_.listen;
    reached.secure = settings_.tls.on();
    if (reached.host == "0.0.0.0" || reached.host.empty()) {
        reached.host = "127.0.0.1";
    } else if (reached.host == "::") {
        reached.host = "::1";
    }
    return reached.to_string();
}

int HiveApp::run() {
    asio::co_spawn(loop_, main(), [](const std::exception_ptr& failure) {
        if (failure) {
            std::rethrow_exception(failure); // a defect: ends the process
        }
    });
    {
        const telemetry::WriteBehind behind(log_, loop_.get_executor());
        loop_.run();
    }
    if (audit_) {
        audit_->stop(stop_reason_.value_or(""));
    }
    log_.info("stopped", "stopped", {{"cause", stop_reason_.value_or("")}});
    log_.flush();
    return 0;
}

asio::awaitable<void> HiveApp::main() {
    adoption_.take_over(); // before anybody asks what runs here
    follow_adopted();
    const auto serving = serve();
    if (!serving) {
        begin_stop(serving.error().what);
    } else {
        tasks_.start(watch_signals(), "signals");
        tasks_.start(tokens_.watch(), "tokens");
        if (settings_.lifeline.valid()) {
            lifeline_ =
                process::watch_lifeline(loop_.get_executor(), settings_.lifeline.release(), [this] {
                    begin_stop("the queen has gone");
                });
        }
        adoption_.start();
        monitor_.start();
        stall_watch_.start();
        deaths_.start();
        idle_.start();
        tasks_.start(service_.feed_watchdog(timers_), "watchdog");
        if (queen_) {
            tasks_.start(queen_->run(), "queen_link");
        }
        fmt::print("rbee-hive ready {}\n", own_url());
        std::fflush(stdout);
        service_.ready("serving at " + own_url());
        log_.info(
            "server_start",
            "serving",
            {{"url", own_url()},
             {"node", settings_.node_name},
             {"worker_binary", settings_.worker.binary}}
        );
    }
    while (!stop_reason_) {
        co_await stopping_.wait();
    }
    co_await shut_down();
}

void HiveApp::begin_stop(std::string reason) {
    if (stop_reason_) {
        return;
    }
    log_.info("server_shutdown", "stopping", {{"cause", reason}});
    service_.stopping("stopping: " + reason);
    stop_reason_ = std::move(reason);
    stopping_.notify_all();
}

void HiveApp::reload() {
    tokens_.reload();
    if (const auto loaded = tls_.load(); !loaded) {
        log_.error("reload_failed", loaded.error().what, {{"part", "tls"}});
    }
    if (!hooks_.reread) {
        return;
    }
    auto fresh = hooks_.reread();
    config_.reload(fresh ? Result<config::Loaded>(fresh->config) : error_of(fresh), [&] {
        apply_live(*fresh, settings_, server_, log_);
        idle_.changed(); // workers may be due sooner
    });
}

asio::awaitable<void> HiveApp::watch_signals() {
    runtime::Signals signals(loop_.get_executor(), {SIGTERM, SIGINT, SIGHUP});
    while (true) {
        const int signal = co_await signals.next();
        if (signal == SIGHUP) {
            service_.reloading(timers_.clock().now());
            reload();
            service_.ready("serving at " + own_url());
            continue;
        }
        if (stop_reason_) {
            log_.warn("shutdown_hurried", "a second signal: stopping at once");
            supervisor_.hurry();
        } else {
            begin_stop(signal == SIGINT ? "SIGINT" : "SIGTERM");
        }
    }
}

asio::awaitable<void> HiveApp::shut_down() {
    routes_.stop();
    server_.drain();
    co_await rolling_.stop();
    co_await restarter_.stop(); // nothing comes back from here on
    co_await supervisor_.stop_all("the hive is stopping");
    if (queen_) {
        const auto told = co_await queen_->send();
        (void)told; // the queen notices by the missing reports too
    }
    lifeline_.reset();
    co_await server_.stop();
    co_await relay_.stop();
    co_await monitor_.stop();
    co_await stall_watch_.stop();
    co_await idle_.stop();
    co_await supervisor_.join();
    co_await adoption_.stop();
    co_await deaths_.stop();
    co_await tasks_.stop();
    client_.close_idle();
    deadline_timers_.stop();
    reaper_.stop();
}

} // namespace rbee::hive
