#pragma once

#include "rbee/audit/settings.hpp"
#include "rbee/auth/token_keeper.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/config/live_config.hpp"
#include "rbee/domain/progress_watch.hpp"
#include "rbee/hive/join.hpp"
#include "rbee/hive/port_range.hpp"
#include "rbee/hive/restart_settings.hpp"
#include "rbee/http/server.hpp"
#include "rbee/http/url.hpp"
#include "rbee/process/service_manager.hpp"
#include "rbee/telemetry/log.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rbee::hive {

/// Limits of a worker's life (behaviour.md 4.3-4.6).
struct LifeLimits {
    Duration callback = std::chrono::seconds(30);   ///< From start to the worker's first report.
    Duration load = std::chrono::minutes(5);        ///< Without progress while loading.
    domain::ProgressLimits progress;                ///< For workers that show signs of life.
    Duration stop_ack = std::chrono::seconds(5);    ///< For the answer to a shutdown request.
    Duration stop_term = std::chrono::seconds(10);  ///< Unanswered: SIGTERM after this ...
    Duration stop_kill = std::chrono::seconds(20);  ///< ... and SIGKILL after this.
    Duration stop_total = std::chrono::seconds(30); ///< Whatever happens, gone after this.
};

/// How often things are looked at.
struct Intervals {
    Duration report = std::chrono::seconds(15);
    Duration coalesce = std::chrono::milliseconds(20); ///< Changes within this make one report.
    Duration health = std::chrono::seconds(30);
    Duration health_limit = std::chrono::seconds(5);
    Duration load_check = std::chrono::milliseconds(500);
};

/// When workers without requests are stopped (behaviour.md 4.6). Models by short name or reference.
struct IdleSettings {
    Duration keep_alive = std::chrono::minutes(5); ///< Or domain::keep_for_ever.
    std::map<std::string, Duration, std::less<>> models;
    std::vector<std::string> pinned; ///< Stay, whatever requests say.
};

/// How workers are started.
struct WorkerSettings {
    std::string binary;             ///< Path of llm-worker-rbee.
    std::string host = "127.0.0.1"; ///< Numeric address that workers listen on.
    PortRange ports;
    std::uint32_t slots = 4;
    std::uint32_t count_max = 64;
    std::vector<std::string> backends = {"cpu"}; ///< What the worker program supports.
    bool allow_remote_images = false;   ///< The engine may fetch images that clients name by URL.
    bool cpu_pinning = false;           ///< Workers on the cpu get the idle half of the processors.
    std::uint64_t memory_bytes_max = 0; ///< For each, by a control group; 0: no limit.
    std::string log_dir;
    std::uint64_t log_bytes_max = 10ULL * 1024 * 1024;
    std::vector<std::string> environment; ///< "NAME=value"; without secrets.
};

/// What becomes of workers when the hive dies, and of those that a former hive left.
struct AdoptionSettings {
    bool adopt = true; ///< They go on and are taken over; else they are killed.
    Duration lease = std::chrono::seconds(60); ///< How long they go on without a hive.
    std::string state_dir; ///< Where the list of them is; empty: there is none, none goes on.
};

/// Everything a hive needs to know; built once, by options.hpp.
struct Settings {
    http::Endpoint listen{.host = "127.0.0.1", .port = 9200, .unix_path = {}};
    std::string node_name;
    std::string public_url; ///< Where the queen reaches this hive; empty = where it listens.
    std::optional<http::Endpoint> queen;
    std::vector<std::string> model_dirs;
    /// Of the listener. All connections come from the queen: no limit for each source.
    http::ServerOptions http{.connections_per_source_max = 0};
    WorkerSettings worker;
    LifeLimits life;
    Intervals intervals;
    IdleSettings idle;
    RestartSettings restart;
    AdoptionSettings adoption;
    std::uint64_t ram_reserve_bytes = 512ULL * 1024 * 1024;
    std::uint64_t vram_reserve_bytes = 1024ULL * 1024 * 1024;
    std::uint64_t disk_reserve_bytes = 100'000'000; ///< Stays free where workers write their logs.
    std::uint32_t gpu_temperature_max_c = 80;       ///< No worker is started on a hotter one.
    auth::KeptTokens tokens;            ///< Without an own one: open, which only loopback may be.
    bool metrics_auth = false;          ///< /metrics needs a token.
    pki::TlsFiles tls;                  ///< Off: plain HTTP.
    std::optional<JoinOrder> join;      ///< To be carried out before this hive can start.
    Secret queen_token;                 ///< For calls to the queen; empty: as `tokens` says.
    bool accept_queen_token = false;    ///< The queen made it for this hive, and calls with it too.
    std::optional<Sha256> queen_digest; ///< SHA-256 of the token that the queen calls with.
    bool core_dumps = false;            ///< This process may leave core files.
    process::ServiceAddress service;    ///< Who started this hive and wants to hear of it.
    UniqueFd lifeline;     ///< Its end of file means that who started this hive has died.
    audit::Settings audit; ///< Workers keep theirs in the same way.
    telemetry::LogStyle log;
    config::Loaded config; ///< Where all this came from.
};

} // namespace rbee::hive
