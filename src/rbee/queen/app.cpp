#include "rbee/queen/app.hpp"

#include "rbee/api/deadlines.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/running.hpp"
#include "rbee/audit/config_events.hpp"
#include "rbee/audit/settings.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/auth/token_keeper.hpp"
#include "rbee/auth/token_source.hpp"
#include "rbee/auth/token_store.hpp"
#include "rbee/base/random.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"
#include "rbee/http/url.hpp"
#include "rbee/pki/files.hpp"
#include "rbee/pki/tls_service.hpp"
#include "rbee/process/listener.hpp"
#include "rbee/process/service_manager.hpp"
#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/gateway.hpp"
#include "rbee/queen/hive_client.hpp"
#include "rbee/queen/hive_report.hpp"
#include "rbee/queen/hive_routes.hpp"
#include "rbee/queen/info_routes.hpp"
#include "rbee/queen/invite_store.hpp"
#include "rbee/queen/join_routes.hpp"
#include "rbee/queen/live_options.hpp"
#include "rbee/queen/local_hive.hpp"
#include "rbee/queen/metrics.hpp"
#include "rbee/queen/node_store.hpp"
#include "rbee/queen/option_rows.hpp"
#include "rbee/queen/worker_routes.hpp"
#include "rbee/runtime/signals.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/store/database.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"
#include "rbee/telemetry/task_failure.hpp"
#include "rbee/telemetry/write_behind.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <filesystem>
#include <functional>
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
constexpr Duration sweep_every = std::chrono::seconds(1);
/// A hive that has not reported for this long is asked: it may have been added by its URL.
constexpr Duration ask_after = std::chrono::seconds(15);
/// So many sweeps lie between two questions, but for a hive that is waited for.
constexpr int ask_every = 5;

std::string url_of(const std::string& host, std::uint16_t port, bool secure) {
    const bool any = host == "0.0.0.0" || host == "::";
    return http::Endpoint{any ? "127.0.0.1" : host, port, {}, secure}.to_string();
}

/// With TLS: hives show their certificates if there is a CA for them. Plain connections come from
/// the hive on this machine, at a port of its own.
std::function<Result<void>(const http::Exchange&, http::Access)>
connection_rule(const pki::TlsFiles& files) {
    if (!files.on()) {
        return nullptr;
    }
    const bool mutual = !files.ca.empty();
    return [mutual](const http::Exchange& exchange, http::Access needed) -> Result<void> {
        const bool hives = needed == http::Access::hive;
        if (!exchange.secure() && !hives) {
            return fail(Errc::forbidden, "this port is for the local hive", "CERTIFICATE_REQUIRED");
        }
        if (mutual && exchange.secure() && hives &&
            !exchange.peer_identity().starts_with("hive:")) {
            return fail(
                Errc::forbidden,
                "a hive must show its certificate; `rbee hives invite NAME` begins to make one",
                "CERTIFICATE_REQUIRED"
            );
        }
        return {};
    };
}

/// Name of the token that a hive gets when it joins.
std::string hive_token_name(const std::string& hive) {
    return ("hive-" + hive).substr(0, auth::token_name_bytes_max);
}

auth::KeptTokens kept_tokens(const Options& options, auth::FoundToken own) {
    return {
        .own = std::move(own),
        .named = tokens_file(options),
        .named_required = !options.tokens_file.empty(),
        .outgoing = options.hive_token_file,
    };
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
    [[nodiscard]] JoinRoutes::Settings join_settings();
    [[nodiscard]] Result<void> grant_hive(const std::string& name, const Secret& token);
    [[nodiscard]] std::string join_url() const;
    [[nodiscard]] HiveClient::SharedSecret token_for(const http::Endpoint& hive) const;
    void note_refusal(const http::Endpoint& hive);
    /// Tokens, certificates and settings anew.
    void reload();
    void reload_settings();
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

    Options options_; ///< Those in force; a reload changes some of them.
    Resources resources_;
    telemetry::Logger log_;
    config::LiveConfig config_{settings(), options_.config, log_};
    process::ServiceManager service_{resources_.service};
    asio::io_context context_{1};
    std::unique_ptr<store::Database> database_; ///< Its thread uses the loop above.
    runtime::SystemTimers timers_{context_.get_executor()};
    telemetry::Metrics metrics_;
    QueenMetrics queen_metrics_{metrics_};
    auth::Authenticator authenticator_;
    auth::TokenKeeper tokens_;
    http::Reaper reaper_{context_.get_executor()};
    http::Client client_{context_.get_executor(), reaper_};
    NodeStore nodes_;
    InviteStore invites_;
    Fleet fleet_{timers_.clock(), options_.worker_silence};
    HiveClient hives_;
    Dispatcher dispatcher_;
    api::RunningRequests running_;
    runtime::DeadlineTimers deadline_timers_{context_.get_executor()};
    api::Deadlines deadlines_;
    api::Gate gate_;
    Gateway gateway_;
    InfoRoutes info_routes_;
    WorkerRoutes worker_routes_;
    HiveRoutes hive_routes_;
    http::Server server_;
    pki::TlsService tls_;
    JoinRoutes join_routes_;
    std::optional<LocalHive> local_hive_;
    std::string url_;
    std::string local_url_; ///< For the hive on this machine.
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
      database_(std::move(database)), tokens_(
                                          {authenticator_, timers_, log_, resources_.audit.get()},
                                          kept_tokens(options, std::move(resources_.token))
                                      ),
      nodes_(*database_), invites_(*database_), hives_(client_, Secret()),
      dispatcher_(
          {fleet_, hives_, timers_, log_, queen_metrics_, resources_.audit.get()},
          {.capacity = options.queue_capacity, .wait_max = options.queue_wait}
      ),
      deadlines_(
          {deadline_timers_, log_, metrics_, "rbee_queen"},
          {options.deadline, options.deadline_by_model}
      ),
      gate_(
          authenticator_,
          log_,
          metrics_,
          {.program = "queen-rbee",
           .prefix = "rbee_queen",
           .clock = timers_.clock(),
           .metrics_auth = options.metrics_auth,
           .connections = connection_rule(options.tls_files),
           .audit = resources_.audit.get()}
      ),
      gateway_(
          {fleet_,
           dispatcher_,
           hives_,
           running_,
           deadlines_,
           timers_.clock(),
           log_,
           queen_metrics_,
           resources_.audit.get()}
      ),
      info_routes_({fleet_, dispatcher_, running_, timers_.clock(), [this] { request_stop(); }}),
      worker_routes_({fleet_, hives_, log_}),
      hive_routes_({fleet_, hives_, nodes_, timers_, log_, resources_.audit.get()}),
      server_(context_.get_executor(), reaper_, options.http),
      tls_({server_, client_, timers_.clock(), log_}, options.tls_files, "hive:"),
      join_routes_({invites_, timers_, log_}, join_settings()),
      tasks_(context_.get_executor(), telemetry::log_task_failures(log_)) {
    info_routes_.mount(gate_.router());
    gateway_.mount(gate_.router());
    worker_routes_.mount(gate_.router());
    hive_routes_.mount(gate_.router());
    join_routes_.mount(gate_.router());
    if (tls_.mutual()) {
        fleet_.require_identities();
    }
    gate_.attach(server_);
}

/// The hive that was started here shares a token with us that nobody else has; so rotation of the
/// others does not concern it.
HiveClient::SharedSecret App::token_for(const http::Endpoint& hive) const {
    if (!local_hive_) {
        return nullptr;
    }
    const Hive* local = fleet_.find_hive(local_hive_name);
    const bool ours = local != nullptr && local->endpoint.authority() == hive.authority();
    return ours ? local_hive_->link_token() : nullptr;
}

void App::note_refusal(const http::Endpoint& hive) {
    for (const auto& [name, known] : fleet_.hives()) {
        if (known.endpoint.authority() == hive.authority() && !known.misconfigured) {
            log_.error(
                "hive_misconfigured",
                "a hive refuses the token of this queen; nothing is sent to it until it accepts",
                {{"hive", name}}
            );
            fleet_.misconfigured(name);
            return;
        }
    }
}

JoinRoutes::Settings App::join_settings() {
    JoinRoutes::Settings settings;
    if (options_.tls_files.on() && !options_.tls_files.ca.empty()) {
        settings.folder = pki::Folder{options_.pki_dir};
    }
    settings.queen_url = [this] { return join_url(); };
    settings.grant = [this](const std::string& name, const Secret& token) {
        return grant_hive(name, token);
    };
    settings.queen_token = [this]() -> std::optional<Sha256> {
        const Secret& token = tokens_.own().token;
        return token.empty() ? std::nullopt : std::optional(sha256(token.expose()));
    };
    return settings;
}

Result<void> App::grant_hive(const std::string& name, const Secret& token) {
    auth::TokenRecord record = auth::make_record(hive_token_name(name), token, {auth::Scope::hive});
    record.created = timers_.clock().wall();
    auto removed = auth::remove_token(tokens_file(options_), record.name);
    if (!removed && removed.error().code != Errc::not_found) {
        return removed;
    }
    const auto added = auth::add_token(tokens_file(options_), std::move(record));
    return added ? tokens_.load() : added;
}

/// Where other machines reach this queen: the first name in her certificate that is not loopback.
std::string App::join_url() const {
    const auto endpoint = http::parse_endpoint(url_);
    if (!endpoint) {
        return url_;
    }
    for (const std::string& host : tls_.certificate().hosts) {
        const http::Endpoint named{host, endpoint->port, {}, true};
        if (!http::is_loopback(named)) {
            return named.to_string();
        }
    }
    return url_;
}

void App::reload() {
    service_.reloading(timers_.clock().now());
    tokens_.reload();
    if (const auto done = tls_.load(); !done) {
        log_.error("reload_failed", done.error().what, {{"part", "tls"}});
    } else {
        log_.info("reloaded", "read again", {{"part", "tls"}});
    }
    reload_settings();
    service_.ready("serving at " + url_);
}

void App::reload_settings() {
    if (!resources_.reread) {
        return;
    }
    auto fresh = resources_.reread();
    config_.reload(fresh ? Result<config::Loaded>(fresh->config) : error_of(fresh), [&] {
        apply_live(*fresh, options_, {dispatcher_, fleet_, deadlines_, server_, log_});
    });
}

Result<void> App::run() {
    tokens_.on_load([this](Secret outgoing) { hives_.set_token(std::move(outgoing)); });
    for (const Result<void>& loaded : {tokens_.load(), tls_.load()}) {
        if (!loaded) {
            return loaded;
        }
    }
    config_.observe(audit::config_observer(resources_.audit.get(), resources_.on_config));
    config_.tell();
    tokens_.tell();
    fleet_.use_random(random_u64);
    hives_.choose_token([this](const http::Endpoint& hive) { return token_for(hive); });
    hives_.on_refusal([this](const http::Endpoint& hive) { note_refusal(hive); });
    std::exception_ptr crash;
    asio::co_spawn(context_, main(), [&](std::exception_ptr error) {
        crash = std::move(error);
        context_.stop();
    });
    {
        const telemetry::WriteBehind behind(log_, context_.get_executor());
        context_.run();
    }
    if (resources_.audit) {
        resources_.audit->stop(failure_ ? failure_->what : "shutdown");
    }
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
    runtime::Signals signals(context_.get_executor(), {SIGTERM, SIGINT, SIGHUP});
    while (true) {
        const int signal = co_await signals.next();
        if (signal == SIGHUP) {
            reload();
            continue;
        }
        log_.info("signal", "asked to stop", {{"signal", signal}});
        request_stop();
    }
}

asio::awaitable<void> App::main() {
    tasks_.start(signal_loop(), "signals");
    tasks_.start(tokens_.watch(), "tokens");
    tasks_.start(service_.feed_watchdog(timers_), "watchdog");
    const auto served = co_await serve();
    if (!served) {
        failure_ = served.error();
    } else {
        co_await start_local_hive();
        if (stop_requests_ == 0) {
            resources_.announce("queen-rbee ready " + url_);
            service_.ready("serving at " + url_);
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
    url_ = url_of(options_.host, listener->port, tls_.on());
    local_url_ = url_;
    const auto loaded = co_await load_nodes();
    if (!loaded) {
        co_return std::unexpected(loaded.error().within("node registry " + options_.database));
    }
    using Security = http::Server::Security;
    auto serving =
        server_.serve(std::move(listener->fd), tls_.on() ? Security::tls : Security::plain);
    if (!serving || !tls_.on()) {
        co_return serving;
    }
    // The hive on this machine has no certificate: it comes in where nobody else can.
    auto local = process::listen_tcp("127.0.0.1", 0);
    if (!local) {
        co_return error_of(local);
    }
    local_url_ = url_of("127.0.0.1", local->port, false);
    serving = server_.serve(std::move(local->fd));
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
        .queen_url = local_url_,
        .models_dir = options_.models_dir,
        .slots = options_.slots,
        .inference_body_mb = options_.http.inference_body_bytes_max >> 20U,
        .log_path = options_.home + "/logs/hive-localhost.log",
        .environment = options_.audit.on()
                           ? audit::with_settings(resources_.child_environment, options_.audit)
                           : resources_.child_environment,
    };
    const auth::FoundToken& own = tokens_.own();
    if (!options_.hive_token_file.empty()) {
        settings.token_file = options_.hive_token_file;
    } else if (!own.path.empty() && !own.credential) {
        settings.token_file = own.path;
    } else {
        settings.token = [this] { return tokens_.own().token.clone(); };
    }
    settings.grant = [this](const Secret& token) {
        const std::string name = std::string("hive:") + local_hive_name;
        authenticator_.grant(name, token, {auth::Scope::hive});
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
        fleet_.accepted(name);
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
    for (int turn = 0;; ++turn) {
        co_await timers_.sleep_for(std::min<Duration>(sweep_every, options_.worker_silence / 4));
        for (const std::string& line : fleet_.sweep()) {
            log_.warn("sweep", line);
        }
        const TimePoint now = timers_.clock().now();
        for (const auto& [name, hive] : fleet_.hives()) {
            const bool silent = hive.misconfigured || now - hive.last_report > ask_after;
            const bool awaited = hive.away_since && now - *hive.away_since < Fleet::return_max;
            if (awaited || (silent && turn % ask_every == 0)) {
                tasks_.start(ask_hive(name), "ask hive");
            }
        }
    }
}

asio::awaitable<void> App::stop_all() {
    log_.info("stopping", "finishing running requests", {{"running", running_.count()}});
    service_.stopping("finishing running requests");
    const int requests_before = stop_requests_;
    server_.drain();
    co_await dispatcher_.stop();
    const TimePoint begun = timers_.clock().now();
    const TimePoint due = begun + drain_max;
    while (server_.active_requests() != 0 && timers_.clock().now() < due &&
           stop_requests_ <= requests_before) {
        co_await timers_.sleep_for(std::chrono::milliseconds(20));
    }
    if (local_hive_) {
        const bool hurry = stop_requests_ > requests_before;
        // What was not needed for the requests is for its workers: hung ones take it 20 s.
        const Duration left = begun + drain_max + hive_stop_max - timers_.clock().now();
        co_await local_hive_->stop(hurry ? hurried_stop_max : left);
    }
    co_await server_.stop();
    co_await tasks_.stop();
    client_.close_idle();
    deadline_timers_.stop();
    reaper_.stop();
    log_.info("stopped", "queen-rbee has stopped");
}

} // namespace

Result<auth::FoundToken> load_token(
    const Options& options, const config::Environment& environment, Secret from_environment
) {
    auth::TokenSources sources;
    sources.environment = environment;
    sources.fd = options.token_fd;
    (options.token_file_flag ? sources.file : sources.configured_file) = options.token_file;
    sources.from_environment = std::move(from_environment);
    sources.home_file = options.home.empty() ? "" : options.home + "/token";
    auto found = auth::find_token(std::move(sources));
    if (!found) {
        return found;
    }
    const auto allowed = auth::check_bind({options.host, options.port, {}}, found->token);
    if (!allowed) {
        return error_of(allowed);
    }
    return found;
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
    const std::string& named = options.tokens_file;
    const bool closed = !named.empty() || std::filesystem::exists(tokens_file(options), ignored);
    if (resources.token.token.empty() && closed) {
        // With named tokens only, the queen and her hive still need one for each other.
        resources.token.token = auth::make_token();
        resources.token.source = "made at start";
    }
    auto audit = audit::open_service_log(options.audit, "queen-rbee", *log);
    if (!audit) {
        return error_of(audit);
    }
    resources.audit = std::move(*audit);
    App app(options, std::move(resources), std::move(*log), std::move(*database));
    auto ended = app.run();
    return ended;
}

} // namespace rbee::queen
