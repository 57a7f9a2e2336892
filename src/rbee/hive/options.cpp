#include "rbee/hive/options.hpp"

#include "rbee/base/text.hpp"
#include "rbee/config/load_settings.hpp"
#include "rbee/config/settings_text.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/hive/adoption_options.hpp"
#include "rbee/hive/audit_options.hpp"
#include "rbee/hive/join_options.hpp"
#include "rbee/hive/option_values.hpp"
#include "rbee/hive/resource_options.hpp"
#include "rbee/hive/restart_options.hpp"
#include "rbee/hive/stall_options.hpp"
#include "rbee/hive/token_options.hpp"
#include "rbee/http/edge_options.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <sstream>
#include <utility>

namespace rbee::hive {
namespace {

/// The arguments as CLI11 fills them.
struct Raw {
    std::vector<std::pair<std::string_view, std::vector<std::string>>> rows;
    std::string config;
    bool validate = false;
    std::string print; ///< The form, or empty.
    int lifeline_fd = -1;
    TokenArguments tokens;
};

void declare(CLI::App& app, Raw& raw) {
    app.name("rbee-hive");
    app.set_version_flag("--version", "rbee-hive " RBEE_VERSION);
    for (const OptionRow& row : option_rows()) {
        raw.rows.emplace_back(row.name, std::vector<std::string>());
    }
    for (std::size_t i = 0; i < raw.rows.size(); ++i) {
        const OptionRow& row = option_rows()[i];
        auto* option =
            app.add_option("--" + std::string(row.name), raw.rows[i].second, std::string(row.help));
        if (row.kind == OptionRow::Kind::list) {
            option->delimiter(',')->type_size(1)->allow_extra_args(false);
        } else {
            option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
        }
    }
    app.add_option(
        "-c,--config",
        raw.config,
        "Settings file (TOML) [RBEE_HIVE_CONFIG, ~/.config/rbee/hive.toml, /etc/rbee/hive.toml]"
    );
    app.add_flag(
        "--validate-config", raw.validate, "Check all settings and the files they name, and end"
    );
    app.add_flag(
        "--print-config{toml}",
        raw.print,
        "Print a settings file with every setting and its default, or with =markdown a table"
    );
    app.add_option("--lifeline-fd", raw.lifeline_fd, "Stop when this pipe ends");
    app.add_option("--token-fd", raw.tokens.token_fd, "Descriptor to read the bearer token from");
    app.add_option(
        "--queen-token-fd",
        raw.tokens.queen_token_fd,
        "Descriptor to read a token from that is only between this hive and its queen"
    );
    app.footer(
        "Each setting comes from its flag, its environment variable or the file, in this order.\n"
        "Token: --token-file, the systemd credential api_token, LLORCH_API_TOKEN_FILE,\n"
        "LLORCH_API_TOKEN, $RBEE_HOME/token; the first that is there.\n"
        "SIGHUP: settings, tokens and certificates are read again."
    );
}

/// Takes one checked number into a setting.
template <typename Number>
Result<void>
take(const OptionValues& values, std::string_view name, Number& into, config::NumberRange range) {
    const auto value = values.number(name, into, range);
    if (!value) {
        return error_of(value);
    }
    into = static_cast<Number>(*value);
    return {};
}

Result<void> fill_numbers(const OptionValues& values, Settings& settings) {
    std::uint64_t port = settings.listen.port;
    std::uint64_t log_mb = settings.worker.log_bytes_max / (1024ULL * 1024);
    const auto health = std::chrono::duration_cast<std::chrono::seconds>(settings.intervals.health);
    auto health_s = static_cast<std::uint64_t>(health.count());
    const std::array results = {
        take(values, "health-interval", health_s, {1, 3600}),
        take(values, "port", port, {}),
        take(values, "slots", settings.worker.slots, {1, 256}),
        take(values, "max-workers", settings.worker.count_max, {1, 10'000}),
        take(values, "log-mb", log_mb, {1, 10'000}),
    };
    for (const Result<void>& result : results) {
        if (!result) {
            return result;
        }
    }
    if (const auto ok = domain::check_port(port); !ok) {
        return ok;
    }
    settings.listen.port = static_cast<std::uint16_t>(port);
    settings.intervals.health = std::chrono::seconds(health_s);
    settings.intervals.health_limit =
        std::min(settings.intervals.health_limit, settings.intervals.health);
    settings.worker.log_bytes_max = log_mb * 1024 * 1024;
    return {};
}

Result<void> fill_http(const OptionValues& values, http::ServerOptions& options) {
    for (const http::EdgeSetting& edge : http::edge_settings()) {
        const std::vector<std::string> given = values.list(edge.setting.name);
        if (given.empty()) {
            continue;
        }
        if (const auto applied = edge.apply(options, fmt::format("{}", fmt::join(given, ",")));
            !applied) {
            return applied;
        }
    }
    return {};
}

Result<void>
fill_worker(const OptionValues& values, const Surroundings& around, WorkerSettings& worker) {
    namespace fs = std::filesystem;
    const auto ports = parse_port_range(values.text("worker-ports", "8081-9000"));
    if (!ports) {
        return std::unexpected(ports.error().within("worker-ports"));
    }
    worker.ports = *ports;
    worker.host = values.text("worker-host", worker.host);
    const fs::path sibling = fs::path(around.program_path).parent_path() / "llm-worker-rbee";
    worker.binary = values.text("worker-binary", sibling.string());
    if (auto backends = values.list("worker-backends"); !backends.empty()) {
        worker.backends = std::move(backends);
    }
    for (const std::string& backend : worker.backends) {
        if (const auto ok = domain::check_backend(backend); !ok) {
            return std::unexpected(ok.error().within("worker-backends"));
        }
    }
    const auto remote_images = values.on("allow-remote-images");
    if (!remote_images) {
        return error_of(remote_images);
    }
    worker.allow_remote_images = *remote_images;
    worker.environment = worker_environment(around.environment_list);
    return {};
}

Result<void>
fill_addresses(const OptionValues& values, const Surroundings& around, Settings& settings) {
    settings.listen.host = values.text("host", settings.listen.host);
    settings.node_name = values.text("node-name", safe_node_name(around.host_name));
    if (const auto ok = domain::check_node_name(settings.node_name); !ok) {
        return std::unexpected(ok.error().within("node-name"));
    }
    settings.public_url = values.text("public-url");
    if (!settings.public_url.empty()) {
        if (const auto url = http::parse_endpoint(settings.public_url); !url) {
            return std::unexpected(url.error().within("public-url"));
        }
    }
    if (const std::string url = values.text("queen-url"); !url.empty()) {
        auto queen = http::parse_endpoint(url);
        if (!queen) {
            return std::unexpected(queen.error().within("queen-url"));
        }
        settings.queen = std::move(*queen);
    }
    return {};
}

Result<void>
fill_directories(const OptionValues& values, const Surroundings& around, Settings& settings) {
    settings.model_dirs = values.list("models-dir");
    settings.worker.log_dir = values.text("log-dir");
    if (settings.model_dirs.empty() || settings.worker.log_dir.empty()) {
        const auto paths = config::Paths::from(around.environment);
        if (!paths) {
            return error_of(paths);
        }
        if (settings.model_dirs.empty()) {
            settings.model_dirs = {paths->models_dir()};
        }
        if (settings.worker.log_dir.empty()) {
            settings.worker.log_dir = paths->logs_dir();
        }
    }
    for (std::string& directory : settings.model_dirs) {
        directory = config::expand_home(directory, around.environment);
    }
    settings.worker.log_dir = config::expand_home(settings.worker.log_dir, around.environment);
    return {};
}

Result<void> fill_log(const OptionValues& values, const Surroundings& around, Settings& settings) {
    const auto style = telemetry::parse_log_style(
        values.text("log-format"), values.text("log-level"), around.stderr_is_terminal
    );
    if (!style) {
        return error_of(style);
    }
    settings.log = *style;
    return {};
}

/// All that was given.
struct Read {
    OptionValues values;
    RestartTables restart_tables;
};

/// All sources of settings as one, into Settings::config.
Result<Read> read_values(const Raw& raw, const Surroundings& around, config::Loaded& into) {
    config::LoadQuery query{
        .program = "hive",
        .file = raw.config,
        .sources = {.flags = {}, .environment = around.environment}
    };
    for (const auto& [name, given] : raw.rows) {
        query.sources.flags.emplace(name, given);
    }
    RestartTables tables;
    auto loaded = config::load_settings(option_rows(), std::move(query), [&](auto& file) {
        auto found = read_restart_tables(file);
        if (found) {
            tables = std::move(*found);
        }
        return found ? Result<void>() : error_of(found);
    });
    if (!loaded) {
        return error_of(loaded);
    }
    into = std::move(*loaded);
    into.extras = flattened(tables);
    return Read{OptionValues(into.values), std::move(tables)};
}

/// What a start needs, beyond what can be read as often as one likes.
Result<void>
fill_start(const OptionValues& values, Raw& raw, const Surroundings& around, Settings& settings) {
    settings.lifeline.reset(raw.lifeline_fd);
    settings.service = process::service_address(around.environment, ::getpid());
    if (const auto joined = fill_join(values, around, settings); !joined) {
        return joined;
    }
    raw.tokens.file_flag = values.is_flag("token-file");
    return fill_tokens(values, raw.tokens, around, settings);
}

/// `again`: for a hive that runs already and keeps its tokens, its queen and its descriptors.
Result<Settings> make_settings(Raw& raw, const Surroundings& around, bool again) {
    const auto begun = std::chrono::steady_clock::now();
    Settings settings;
    const auto read = read_values(raw, around, settings.config);
    if (!read) {
        return error_of(read);
    }
    const OptionValues& values = read->values;
    for (const Result<void>& result : {
             fill_numbers(values, settings),
             fill_http(values, settings.http),
             fill_resources(values, settings),
             fill_restart(values, read->restart_tables, settings.restart),
             fill_progress_limits(values, settings.life.progress),
             fill_worker(values, around, settings.worker),
             fill_addresses(values, around, settings),
             fill_directories(values, around, settings),
             fill_tls(values, settings),
             again ? Result<void>() : fill_start(values, raw, around, settings),
             fill_adoption(values, around, settings),
             fill_log(values, around, settings),
             fill_audit(values, settings.audit),
         }) {
        if (!result) {
            return error_of(result);
        }
    }
    settings.worker.environment =
        audit::with_settings(std::move(settings.worker.environment), settings.audit);
    settings.config.took = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - begun
    );
    return settings;
}

CommandLine complaint(std::string_view what) {
    CommandLine out;
    out.exit_code = 1;
    out.text = fmt::format("rbee-hive: {}\n", what);
    return out;
}

CommandLine answer(std::string text) {
    CommandLine out;
    out.text = std::move(text);
    return out;
}

/// Fills `raw`, or says what ends the program before anything else is looked at.
std::optional<CommandLine> parse(const std::vector<std::string>& arguments, Raw& raw) {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend()); // as CLI11 wants it
    CLI::App app("Runs the workers of one machine.");
    declare(app, raw);
    try {
        app.parse(std::move(reversed));
    } catch (const CLI::ParseError& error) {
        std::ostringstream text;
        std::ostringstream problem;
        const bool asked = app.exit(error, text, problem) == 0;
        return asked ? answer(text.str()) : complaint(trim(problem.str()));
    }
    return std::nullopt;
}

} // namespace

CommandLine
parse_command_line(const std::vector<std::string>& arguments, const Surroundings& around) {
    Raw raw;
    if (auto ended = parse(arguments, raw)) {
        return std::move(*ended);
    }
    CommandLine out;
    out.validate_only = raw.validate;
    if (!raw.print.empty()) {
        auto text = config::printed_settings(
            raw.print, option_rows(), {"rbee-hive", "hive"}, restart_example
        );
        return text ? answer(std::move(*text)) : complaint(text.error().what);
    }
    auto settings = make_settings(raw, around, false);
    if (!settings) {
        return complaint(settings.error().what);
    }
    out.settings = std::move(*settings);
    return out;
}

Result<Settings>
read_settings_again(const std::vector<std::string>& arguments, const Surroundings& around) {
    Raw raw;
    if (const auto ended = parse(arguments, raw)) {
        return fail(Errc::invalid_argument, ended->text);
    }
    return make_settings(raw, around, true);
}

std::string safe_node_name(std::string_view name) {
    constexpr std::size_t bytes_max = 64;
    std::string out(name.substr(0, bytes_max));
    std::ranges::replace_if(
        out,
        [](char c) {
            return !(
                (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '.'
            );
        },
        '-'
    );
    const auto first = out.find_first_not_of(".-");
    const auto last = out.find_last_not_of(".-");
    return first == std::string::npos ? "localhost" : out.substr(first, last - first + 1);
}

std::vector<std::string> worker_environment(const std::vector<std::string>& list) {
    std::vector<std::string> out;
    for (const std::string& variable : process::without_service_address(list)) {
        // Each worker has a token of its own; the format must be one that the hive can read.
        const bool ours = variable.starts_with("LLORCH_API_TOKEN=") ||
                          variable.starts_with("LLORCH_API_TOKEN_FILE=") ||
                          variable.starts_with("LLORCH_LOG_FORMAT=");
        if (!ours) {
            out.push_back(variable);
        }
    }
    out.emplace_back("LLORCH_LOG_FORMAT=json");
    return out;
}

} // namespace rbee::hive
