#include "rbee/worker/app.hpp"

#include "rbee/audit/settings.hpp"
#include "rbee/auth/token_source.hpp"
#include "rbee/base/random.hpp"
#include "rbee/process/adopted.hpp"
#include "rbee/process/resources.hpp"
#include "rbee/runtime/signals.hpp"
#include "rbee/telemetry/task_failure.hpp"
#include "rbee/telemetry/write_behind.hpp"
#include "rbee/worker/exit_code.hpp"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

namespace rbee::worker {

namespace asio = boost::asio;

namespace {

/// What a stop may take beyond the drain limit before the process ends without it.
constexpr Duration stop_reserve = std::chrono::seconds(10);

/// How often the event loop shows that it goes round.
constexpr Duration beat_period = std::chrono::milliseconds(500);

/// An eighth of the machine's memory, at most what llama.cpp would take.
std::uint32_t prompt_cache_mib() {
    constexpr std::uint64_t most = 8192;
    constexpr std::uint64_t unknown_machine = 512;
    const auto memory = process::memory();
    return static_cast<std::uint32_t>(
        memory ? std::min(memory->total_bytes / 8 >> 20U, most) : unknown_machine
    );
}

/// Regular files have no end that could be waited for.
bool can_watch(int fd) {
    struct stat info{};
    return ::fstat(fd, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
}

Result<telemetry::Logger> open_log(const config::Environment& environment) {
    const auto style = telemetry::parse_log_style(
        environment("LLORCH_LOG_FORMAT").value_or(""),
        environment("LLORCH_LOG_LEVEL").value_or(""),
        ::isatty(STDERR_FILENO) == 1
    );
    if (!style) {
        return error_of(style);
    }
    telemetry::Logger::Options options;
    options.component = "llm-worker-rbee";
    options.format = style->format;
    options.level = style->level;
    return telemetry::Logger::open(std::move(options));
}

auth::TokenSources token_sources(const WorkerOptions& options, Surroundings around) {
    auth::TokenSources sources;
    sources.fd = options.token_fd;
    sources.file = options.token_file;
    sources.environment = std::move(around.environment);
    sources.from_environment = std::move(around.token);
    if (const auto paths = config::Paths::from(sources.environment)) {
        sources.home_file = paths->data_dir() + "/token";
    }
    return sources;
}

} // namespace

struct WorkerApp::Parts {
    telemetry::Logger log;
    auth::FoundToken token;
    Listener listener;
    std::unique_ptr<engine::Engine> engine;
    std::optional<process::PulseHolder> pulse;
    std::unique_ptr<audit::Logger> audit;
};

Result<std::unique_ptr<WorkerApp>> WorkerApp::create(
    WorkerOptions options, Surroundings around, std::unique_ptr<engine::Engine> engine
) {
    auto log = open_log(around.environment);
    if (!log) {
        return error_of(log);
    }
    const auto pulse = around.pulse;
    const auto audit_settings = audit::settings_from(around.environment);
    if (!audit_settings) {
        return error_of(audit_settings);
    }
    auto found = auth::find_token(token_sources(options, std::move(around)));
    if (!found) {
        return error_of(found);
    }
    if (!options.listen_fd) {
        if (const auto allowed = auth::check_bind(options.listen, found->token); !allowed) {
            return error_of(allowed);
        }
    }
    if (options.die_with_hive && !process::die_with_parent()) {
        return fail(Errc::unsupported, "the kernel does not take --die-with-hive");
    }
    if (options.lifeline_fd && !can_watch(*options.lifeline_fd)) {
        return fail(Errc::invalid_argument, "--lifeline-fd is neither a pipe nor a socket");
    }
    auto listener =
        options.listen_fd ? adopt_listener(*options.listen_fd) : open_listener(options.listen);
    if (!listener) {
        return error_of(listener);
    }
    if (const auto allowed = auth::check_bind(listener->endpoint, found->token); !allowed) {
        return error_of(allowed);
    }
    auto audit = audit::open_service_log(*audit_settings, options.worker_id, *log);
    if (!audit) {
        return error_of(audit);
    }
    Parts parts{
        std::move(*log),
        std::move(*found),
        std::move(*listener),
        std::move(engine),
        pulse,
        std::move(*audit)
    };
    return std::unique_ptr<WorkerApp>(new WorkerApp(std::move(options), std::move(parts)));
}

WorkerApp::WorkerApp(WorkerOptions options, Parts parts)
    : options_(std::move(options)), pulse_(parts.pulse), log_(std::move(parts.log)),
      audit_(std::move(parts.audit)), token_(std::move(parts.token.token)),
      listener_(std::move(parts.listener)), url_(listener_.endpoint.to_string()),
      engine_(std::move(parts.engine)), service_(
                                            make_settings(),
                                            make_outside(),
                                            authenticator_,
                                            [this] { stop({.cause = "a client asked for it"}); }
                                        ),
      server_(
          loop_.get_executor(),
          reaper_,
          {.connections_per_source_max = 0,
           .inference_body_bytes_max = options_.inference_body_mb << 20U}
      ),
      lease_(
          {timers_, log_},
          std::chrono::seconds(options_.hive_lease_s),
          [this](Lease::End how) {
              stop({.cause = std::move(how.cause)});
              if (how.at_once) {
                  hurry();
              }
          }
      ),
      tasks_(loop_.get_executor(), telemetry::log_task_failures(log_)) {
    if (token_.empty()) {
        log_.warn("dev_mode", "dev mode without a token, every local client is allowed");
    } else {
        authenticator_.accept(token_);
        log_.info("auth_enabled", "a bearer token is required", {{"source", parts.token.source}});
        for (const std::string& warning : parts.token.warnings) {
            log_.warn("token_source", warning);
        }
    }
    service_.attach(server_);
    service_.on_hive([this](const HiveNotice& hive) { return take_hive(hive); });
    connect_hive();
}

Settings WorkerApp::make_settings() const {
    return {
        .worker_id = options_.worker_id,
        .model_name = options_.model_name,
        .load =
            {.model_path = options_.model_path,
             .model_name = options_.model_name,
             .slots = options_.slots,
             .backend = options_.backend,
             .device = options_.device,
             .engine_args = options_.engine_args,
             .prompt_cache_mib = prompt_cache_mib(),
             .allow_remote_images = options_.allow_remote_images,
             .activity = pulse_ ? &pulse_->activity() : nullptr},
    };
}

Outside WorkerApp::make_outside() {
    return {
        .timers = timers_,
        .deadline_timers = deadline_timers_,
        .engine = *engine_,
        .log = log_,
        .metrics = metrics_,
        .random = random_u64,
        .audit = audit_.get(),
    };
}

void WorkerApp::connect_hive() {
    if (!options_.hive) {
        return;
    }
    api::ReadyNotice who;
    who.worker_id = options_.worker_id;
    who.url = url_;
    who.model_ref = options_.model_ref;
    who.backend = options_.backend;
    who.device = options_.device;
    hive_.emplace(
        timers_, log_, api::ApiClient(client_, *options_.hive, token_.clone()), std::move(who)
    );
}

int WorkerApp::run() {
    asio::co_spawn(loop_, main(), [](const std::exception_ptr& failure) {
        if (failure) {
            std::rethrow_exception(failure); // a defect: ends the process
        }
    });
    {
        const telemetry::WriteBehind behind(log_, loop_.get_executor());
        loop_.run();
    }
    const Stop why = stop_.value_or(Stop{}); // main() ends only after one
    tell_leaving(why.exit_code);
    close_audit(why.cause);
    log_.info("stopped", "stopped", {{"cause", why.cause}, {"exit_code", why.exit_code}});
    log_.flush();
    return why.exit_code;
}

asio::awaitable<void> WorkerApp::main() {
    const auto serving = server_.serve(std::move(listener_.socket));
    if (serving) {
        fmt::print("llm-worker-rbee ready {}\n", url_);
        std::fflush(stdout);
        log_.info(
            "server_start",
            "serving",
            {{"url", url_}, {"worker_id", options_.worker_id}, {"model_ref", options_.model_ref}}
        );
        if (options_.lifeline_fd) {
            lease_.follow_lifeline(*options_.lifeline_fd);
        }
        tasks_.start(beat(), "beat");
        tasks_.start(watch_signals(), "signals");
        tasks_.start(service_.watch(), "watch");
        tasks_.start(load(), "load");
    } else {
        stop({.exit_code = 1, .cause = serving.error().what});
    }
    while (!stop_) {
        co_await stopping_.wait();
    }
    co_await shut_down();
}

asio::awaitable<void> WorkerApp::load() {
    if (hive_) {
        co_await hive_->notify({.state = domain::WorkerState::loading});
    }
    loading_ = true;
    const auto loaded = co_await service_.load(&pool_);
    loading_ = false;
    if (!loaded) {
        fmt::print(
            stderr,
            "llm-worker-rbee: cannot load {}: {}\n",
            options_.model_path,
            loaded.error().what
        );
        const int exit_code = exit_code_of(loaded.error());
        if (pulse_) {
            pulse_->fatal(service_.status().reason(), exit_code);
        }
        if (hive_) {
            co_await hive_->notify(
                {.state = domain::WorkerState::failed, .reason = service_.status().reason()}
            );
        }
        stop({.exit_code = exit_code, .cause = "the model could not be loaded"});
        co_return;
    }
    if (hive_) {
        co_await hive_->notify(
            {.state = domain::WorkerState::idle, .slots_total = service_.slots_total()}
        );
        co_await hive_->heartbeats([this] {
            return service_.status().phase() != WorkerStatus::Phase::failed;
        });
    }
}

asio::awaitable<void> WorkerApp::beat() {
    while (pulse_) {
        pulse_->beat();
        co_await timers_.sleep_for(beat_period);
    }
}

void WorkerApp::stop(Stop why) {
    if (!stop_) {
        log_.info("server_shutdown", "stopping", {{"cause", why.cause}});
        stop_ = std::move(why);
        stopping_.notify_all();
    }
}

void WorkerApp::hurry() {
    log_.info("server_shutdown_hurried", "stopping without waiting for requests");
    service_.hurry();
}

asio::awaitable<void> WorkerApp::watch_signals() {
    while (true) {
        const int signal = co_await runtime::wait_signal({SIGTERM, SIGINT});
        if (stop_) {
            hurry();
        } else {
            stop({.cause = signal == SIGINT ? "SIGINT" : "SIGTERM"});
        }
    }
}

Result<void> WorkerApp::take_hive(const HiveNotice& hive) {
    if (!hive_) {
        return fail(Errc::conflict, "this worker belongs to no hive");
    }
    auto endpoint = http::parse_endpoint(hive.url);
    if (!endpoint) {
        return error_of(endpoint);
    }
    if (const auto followed = lease_.follow(hive); !followed) {
        return followed;
    }
    hive_->move_to(api::ApiClient(client_, std::move(*endpoint), token_.clone()));
    log_.info("hive_changed", "another hive has taken over", {{"url", hive.url}});
    return {};
}

asio::awaitable<void> WorkerApp::watch_stop() {
    co_await timers_.sleep_for(Settings{}.drain_limit + stop_reserve);
    log_.error("stop_forced", "the orderly stop took too long");
    leave_process(1);
}

asio::awaitable<void> WorkerApp::shut_down() {
    tasks_.start(watch_stop(), "stop limit");
    co_await service_.drain();
    if (loading_) {
        leave_process(stop_ ? stop_->exit_code : 0);
    }
    co_await server_.stop();
    co_await pool_.run([this] { engine_->stop(); });
    co_await tasks_.stop();
    co_await lease_.stop();
    client_.close_idle();
    deadline_timers_.stop();
    reaper_.stop();
}

void WorkerApp::tell_leaving(int exit_code) {
    if (pulse_) {
        pulse_->leaving(exit_code);
    }
}

void WorkerApp::close_audit(const std::string& cause) {
    if (audit_) {
        audit_->stop(cause);
    }
}

void WorkerApp::leave_process(int exit_code) {
    tell_leaving(exit_code);
    close_audit(stop_ ? stop_->cause : "");
    log_.info("stopped", "stopped", {{"exit_code", exit_code}});
    log_.flush();
    std::_Exit(exit_code);
}

} // namespace rbee::worker
