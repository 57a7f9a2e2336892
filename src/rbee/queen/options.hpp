#pragma once

#include "rbee/audit/settings.hpp"
#include "rbee/base/result.hpp"
#include "rbee/config/live_config.hpp"
#include "rbee/config/paths.hpp"
#include "rbee/domain/deadline.hpp"
#include "rbee/http/server.hpp"
#include "rbee/pki/tls_files.hpp"
#include "rbee/telemetry/log.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rbee::queen {

/// When the queen starts a hive on her own machine.
enum class LocalHiveMode {
    automatic, ///< When no other hive is registered.
    always,
    never,
};

/// How logs are to look, before it was checked; empty: the default.
struct LogTexts {
    std::string format;
    std::string level;
};

/// How queen-rbee runs, after flags, environment, file and defaults were merged in that order.
struct Options {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8080; ///< 0 = any free one.
    std::string home;          ///< Data directory.
    std::string database;
    std::string token_file;       ///< Empty: see auth::find_token.
    bool token_file_flag = false; ///< It comes from the command line.
    std::optional<int> token_fd;  ///< Where the parent hands the token over; wins.
    std::string hive_token_file;  ///< Token to send to hives; empty: the queen's own.
    bool core_dumps = false;      ///< This process may leave core files.
    std::string tokens_file;      ///< Named tokens; empty: $RBEE_HOME/tokens.toml when it is there.
    bool metrics_auth = false;    ///< /metrics needs a token.
    bool tls = false;             ///< Serve HTTPS with the certificate of the private CA.
    pki::TlsFiles tls_files;      ///< Filled from pki_dir when `tls` is on and none is named.
    std::string pki_dir;          ///< The private CA.
    std::size_t queue_capacity = 100;
    std::chrono::seconds queue_wait{300};
    std::chrono::seconds worker_silence{120}; ///< A registered worker silent for longer is removed.
    LocalHiveMode local_hive = LocalHiveMode::automatic;
    std::uint16_t local_hive_port = 9200; ///< 0 = any free one.
    std::string hive_binary;
    std::string models_dir;             ///< Empty: the hive's own default.
    std::optional<std::uint32_t> slots; ///< For each worker; the hive's default when absent.
    domain::DeadlinePolicy deadline;    ///< For requests that bring no deadline, and the cap.
    std::map<std::string, domain::DeadlinePolicy, std::less<>>
        deadline_by_model;    ///< Its own instead, by the model's short name; only from the file.
    http::ServerOptions http; ///< Limits and browser rules of the listener.
    audit::Settings audit;
    LogTexts log_texts;
    telemetry::LogStyle log; ///< What log_texts say.
    config::Loaded config;   ///< Where all this came from.
};

/// What the command line asks for: to run, or to print something and end.
struct CommandLine {
    std::optional<Options> options;
    int exit_code = 0;
    std::string text;           ///< For stdout when exit_code is 0, else for stderr.
    bool validate_only = false; ///< Nothing shall be started with the options.
};

/// What the process knows of itself.
struct Surroundings {
    config::Environment environment;
    std::string program_path; ///< To find sibling programs.
    bool stderr_is_terminal = false;
};

/// The file of the named tokens.
[[nodiscard]] std::string tokens_file(const Options& options);

/// Flags, environment and file become options; nothing is started or kept open, so that a reload
/// can do it again.
[[nodiscard]] CommandLine
parse_command_line(const std::vector<std::string>& arguments, const Surroundings& around);

/// The same for a program that runs already. Fails with what is wrong.
[[nodiscard]] Result<Options>
read_options(const std::vector<std::string>& arguments, const Surroundings& around);

} // namespace rbee::queen
