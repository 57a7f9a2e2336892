#include "rbee/queen/options.hpp"

#include "rbee/config/option_value.hpp"
#include "rbee/config/toml_file.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/http/edge_options.hpp"
#include "rbee/pki/files.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <type_traits>
#include <utility>

namespace rbee::queen {
namespace {

using Texts = std::map<std::string, std::string>;

/// What a settings file says.
struct FileSettings {
    Texts texts; ///< By key, as the texts that flags would carry.
    /// The tables [[deadline.model]], each as the keys of [deadline] that it has, by model.
    std::map<std::string, Texts> models;
};

constexpr std::string_view token_file_key = "auth.api_token_file";

/// One setting: its flag, its variable, its place in the file, and what its text does.
struct Setting {
    const char* flag;
    const char* variable;
    const char* file_key;
    const char* help;
    std::function<Result<void>(Options&, const std::string&)> apply;
    bool numeric = false;
    bool list = false; ///< May be repeated; its text has ',' between the values.
    bool bare = false; ///< A flag without a value; elsewhere "on" or "off".
};

// `member` is a member of Options, or a function that picks one out of a part of them.

template <typename Number, typename Member>
auto numeric(const char* flag, Member member, config::NumberRange range) {
    return [=](Options& options, const std::string& text) -> Result<void> {
        const auto value = config::parse_number(flag, text, range);
        if (!value) {
            return error_of(value);
        }
        auto& into = std::invoke(member, options);
        into = std::remove_reference_t<decltype(into)>(static_cast<Number>(*value));
        return {};
    };
}

auto port(const char* flag, std::uint16_t Options::* member) {
    return [=](Options& options, const std::string& text) -> Result<void> {
        constexpr std::uint64_t none = 65536; // refused like any other that is no port
        const auto value = config::parse_number(flag, text, {});
        const auto good = domain::check_port(value ? *value : none);
        if (!good) {
            return std::unexpected(good.error().within(flag));
        }
        options.*member = static_cast<std::uint16_t>(*value);
        return {};
    };
}

template <typename Member>
auto text_of(Member member) {
    return [=](Options& options, const std::string& text) -> Result<void> {
        std::invoke(member, options) = text;
        return {};
    };
}

Result<void> set_local_hive(Options& options, const std::string& text) {
    const std::map<std::string, LocalHiveMode> modes = {
        {"auto", LocalHiveMode::automatic},
        {"always", LocalHiveMode::always},
        {"never", LocalHiveMode::never},
    };
    const auto found = modes.find(text);
    if (found == modes.end()) {
        return fail(Errc::invalid_argument, "--local-hive must be auto, always or never");
    }
    options.local_hive = found->second;
    return {};
}

template <typename Member>
auto on_or_off(const char* name, Member member) {
    return [=](Options& options, const std::string& text) -> Result<void> {
        const auto value = config::parse_switch(name, text);
        if (!value) {
            return error_of(value);
        }
        std::invoke(member, options) = *value;
        return {};
    };
}

auto tls_file(std::string pki::TlsFiles::* member) {
    return text_of([=](Options& options) -> std::string& { return options.tls_files.*member; });
}

/// Fills in what --tls stands for, and checks what was named.
Result<void> complete_tls(Options& options) {
    if (options.tls && !options.tls_files.on()) {
        const pki::Folder folder{options.pki_dir};
        options.tls_files.certificate = folder.certificate();
        options.tls_files.key = folder.key();
        if (options.tls_files.ca.empty()) {
            options.tls_files.ca = folder.ca_certificate();
        }
    }
    return pki::check_tls_files(options.tls_files);
}

auto deadline_s(const char* flag, domain::milliseconds domain::DeadlinePolicy::* member) {
    const auto pick = [=](Options& options) -> domain::milliseconds& {
        return options.deadline.*member;
    };
    const auto max = std::chrono::duration_cast<std::chrono::seconds>(domain::deadline_cap_max);
    return numeric<std::chrono::seconds>(flag, pick, {1, static_cast<std::uint64_t>(max.count())});
}

/// For requests that bring no deadline of their own, and the bound for those that do.
std::vector<Setting> deadline_settings() {
    return {
        {"--deadline-s",
         "RBEE_DEADLINE_S",
         "deadline.default_s",
         "Time for an answer when the request names none, in seconds [30]",
         deadline_s("--deadline-s", &domain::DeadlinePolicy::whole),
         true},
        {"--deadline-first-token-s",
         "RBEE_DEADLINE_FIRST_TOKEN_S",
         "deadline.first_token_s",
         "The same for the first token of a stream, in seconds [30]",
         deadline_s("--deadline-first-token-s", &domain::DeadlinePolicy::first_token),
         true},
        {"--deadline-stream-s",
         "RBEE_DEADLINE_STREAM_S",
         "deadline.stream_s",
         "The same for a whole stream, in seconds [600]",
         deadline_s("--deadline-stream-s", &domain::DeadlinePolicy::stream_total),
         true},
        {"--deadline-max-s",
         "RBEE_DEADLINE_MAX_S",
         "deadline.max_s",
         "No request gets more time than this, in seconds [1800]",
         deadline_s("--deadline-max-s", &domain::DeadlinePolicy::cap),
         true},
        {"--deadline-strict",
         "RBEE_DEADLINE_STRICT",
         "deadline.strict",
         "Whether --deadline-s holds for streams as a whole too: on or off [off]",
         on_or_off(
             "--deadline-strict", [](Options& options) -> bool& { return options.deadline.strict; }
         )},
    };
}

/// The queen herself.
std::vector<Setting> own_settings() {
    return {
        {"-p,--port",
         "RBEE_QUEEN_PORT",
         "server.port",
         "Port to listen on (0: any free one) [8080]",
         port("--port", &Options::port),
         true},
        {"--host",
         "RBEE_QUEEN_HOST",
         "server.host",
         "Address to listen on [127.0.0.1]",
         text_of(&Options::host)},
        {"-d,--database",
         "RBEE_DATABASE",
         "database.path",
         "Node registry [$RBEE_HOME/beehives.db]",
         text_of(&Options::database)},
        {"--token-file",
         "LLORCH_API_TOKEN_FILE",
         "auth.api_token_file",
         "File with the API token (mode 0600)",
         text_of(&Options::token_file)},
        {"--tokens-file",
         "RBEE_TOKENS_FILE",
         "auth.tokens_file",
         "Named tokens, as 'rbee token' writes them [$RBEE_HOME/tokens.toml]",
         text_of(&Options::tokens_file)},
        {"--hive-token-file",
         "RBEE_HIVE_TOKEN_FILE",
         "auth.hive_token_file",
         "File with the token to send to hives [the API token]",
         text_of(&Options::hive_token_file)},
        {"--core-dumps",
         "RBEE_CORE_DUMPS",
         "server.core_dumps",
         "Whether this program may leave core files, which show its secrets: on or off [off]",
         on_or_off("--core-dumps", &Options::core_dumps)},
        {"--metrics-auth",
         "RBEE_METRICS_AUTH",
         "auth.metrics",
         "Whether /metrics needs a token with the scope metrics: on or off [off]",
         on_or_off("--metrics-auth", &Options::metrics_auth)},
    };
}

/// Certificates.
std::vector<Setting> tls_settings() {
    return {
        {.flag = "--tls",
         .variable = "RBEE_TLS",
         .file_key = "tls.on",
         .help = "Serve HTTPS with the certificate that 'rbee pki init' made",
         .apply = on_or_off("tls", &Options::tls),
         .bare = true},
        {"--tls-cert",
         "RBEE_TLS_CERT",
         "tls.certificate",
         "Certificate to serve HTTPS with (PEM)",
         tls_file(&pki::TlsFiles::certificate)},
        {"--tls-key",
         "RBEE_TLS_KEY",
         "tls.key",
         "Its private key (PEM, mode 0600)",
         tls_file(&pki::TlsFiles::key)},
        {"--tls-ca",
         "RBEE_TLS_CA",
         "tls.ca",
         "CA that signs the certificates of hives, which must then show one",
         tls_file(&pki::TlsFiles::ca)},
        {"--pki-dir",
         "RBEE_PKI_DIR",
         "tls.pki_dir",
         "Folder of the private CA [$RBEE_HOME/pki]",
         text_of(&Options::pki_dir)},
    };
}

/// The line in front of the workers.
std::vector<Setting> queue_settings() {
    return {
        {"--queue-capacity",
         "RBEE_QUEUE_CAPACITY",
         "queue.capacity",
         "Requests that may wait for a slot [100]",
         numeric<std::size_t>("--queue-capacity", &Options::queue_capacity, {0, 1'000'000}),
         true},
        {"--queue-wait-s",
         "RBEE_QUEUE_WAIT_S",
         "queue.wait_s",
         "Longest wait for a slot, in seconds [300]",
         numeric<unsigned>("--queue-wait-s", &Options::queue_wait, {1, 86'400}),
         true},
        {"--worker-silence-s",
         "RBEE_WORKER_SILENCE_S",
         "workers.silence_s",
         "Silence after which a self-registered worker is removed, in seconds [120]",
         numeric<unsigned>("--worker-silence-s", &Options::worker_silence, {1, 86'400}),
         true},
    };
}

/// The hive that she runs on her machine.
std::vector<Setting> local_hive_settings() {
    return {
        {"--local-hive",
         "RBEE_LOCAL_HIVE",
         "local_hive.mode",
         "Run a hive on this machine: auto (when no other is registered), always or never [auto]",
         set_local_hive},
        {"--local-hive-port",
         "RBEE_LOCAL_HIVE_PORT",
         "local_hive.port",
         "Port of that hive (0: any free one) [9200]",
         port("--local-hive-port", &Options::local_hive_port),
         true},
        {"--hive-binary",
         "RBEE_HIVE_BINARY",
         "local_hive.binary",
         "Program of that hive [rbee-hive beside queen-rbee]",
         text_of(&Options::hive_binary)},
        {"--models-dir",
         "RBEE_MODELS_DIR",
         "local_hive.models_dir",
         "Models of that hive [its own default]",
         text_of(&Options::models_dir)},
        {"--slots",
         "RBEE_SLOTS",
         "local_hive.slots",
         "Requests at a time for each worker [hive's default]",
         numeric<std::uint32_t>("--slots", &Options::slots, {1, 256}),
         true},
    };
}

/// All of them, in the order of --help.
const std::vector<Setting>& settings() {
    static const std::vector<Setting> all = [] {
        std::vector<Setting> out = own_settings();
        std::ranges::move(tls_settings(), std::back_inserter(out));
        std::ranges::move(queue_settings(), std::back_inserter(out));
        std::ranges::move(deadline_settings(), std::back_inserter(out));
        std::ranges::move(local_hive_settings(), std::back_inserter(out));
        for (const http::EdgeSetting& edge : http::edge_settings()) {
            out.push_back(
                {edge.flag,
                 edge.variable,
                 edge.file_key,
                 edge.help,
                 [&edge](Options& options, const std::string& text) {
                     return edge.apply(options.http, text);
                 },
                 !edge.list,
                 edge.list}
            );
        }
        return out;
    }();
    return all;
}

Result<void> set_logging(Options& options, const Surroundings& around) {
    const auto style = telemetry::parse_log_style(
        around.environment("LLORCH_LOG_FORMAT").value_or(""),
        around.environment("LLORCH_LOG_LEVEL").value_or(""),
        around.stderr_is_terminal
    );
    if (!style) {
        return error_of(style);
    }
    options.log = *style;
    return {};
}

void set_places(Options& options, const Surroundings& around) {
    const auto home = around.environment("RBEE_HOME");
    options.home =
        home && !home->empty() ? *home : around.environment("HOME").value_or(".") + "/.rbee";
    options.database = options.home + "/beehives.db";
    options.pki_dir = options.home + "/pki";
    const auto slash = around.program_path.rfind('/');
    options.hive_binary = slash == std::string::npos
                              ? "rbee-hive"
                              : around.program_path.substr(0, slash) + "/rbee-hive";
}

/// The value of one setting as the text that its flag would carry, from `key` of the file.
Result<std::optional<std::string>>
read_value(config::TomlFile& file, const Setting& setting, const std::string& key) {
    if (setting.numeric) {
        const auto value = file.get<std::uint32_t>(key);
        if (!value) {
            return error_of(value);
        }
        const std::optional<std::uint32_t> number = *value;
        return number ? std::optional(std::to_string(*number)) : std::nullopt;
    }
    if (setting.list) {
        const auto values = file.get<std::vector<std::string>>(key);
        if (!values) {
            return error_of(values);
        }
        const std::optional<std::vector<std::string>>& list = *values;
        return list ? std::optional(fmt::format("{}", fmt::join(*list, ","))) : std::nullopt;
    }
    return file.get<std::string>(key);
}

/// Reads the tables [[deadline.model]].
Result<void> read_model_deadlines(config::TomlFile& file, FileSettings& into) {
    constexpr std::string_view list = "deadline.model";
    for (std::size_t i = 0; i < file.count(list); ++i) {
        const std::string table = fmt::format("{}[{}]", list, i);
        const auto named = file.get<std::string>(table + ".name");
        if (!named) {
            return error_of(named);
        }
        const std::string name = named->value_or("");
        if (name.empty() || into.models.contains(name)) {
            return fail(
                Errc::invalid_argument,
                fmt::format(
                    "{}: {}.name {}",
                    file.name(),
                    table,
                    name.empty() ? "is missing: the model that it is for" : "is there twice"
                )
            );
        }
        Texts& texts = into.models[name];
        for (const Setting& setting : deadline_settings()) {
            const std::string key = setting.file_key;
            auto value = read_value(file, setting, table + key.substr(key.rfind('.')));
            if (!value) {
                return error_of(value);
            }
            if (const std::optional<std::string>& text = *value) {
                texts[key] = *text;
            }
        }
    }
    return {};
}

Result<FileSettings> read_file(const std::string& path) {
    FileSettings out;
    if (path.empty()) {
        return out;
    }
    auto file = config::TomlFile::load(path);
    if (!file) {
        return error_of(file);
    }
    for (const Setting& setting : settings()) {
        const auto value = read_value(*file, setting, setting.file_key);
        if (!value) {
            return error_of(value);
        }
        if (const std::optional<std::string>& text = *value) {
            out.texts[setting.file_key] = *text;
        }
    }
    if (const auto read = read_model_deadlines(*file, out); !read) {
        return error_of(read);
    }
    if (const auto known = file->check_unknown(); !known) {
        return error_of(known);
    }
    return out;
}

/// What a model's table does not say is as for all others.
Result<void> set_model_deadlines(Options& options, const FileSettings& file) {
    for (const auto& [model, texts] : file.models) {
        Options for_model = options;
        for (const Setting& setting : deadline_settings()) {
            const auto found = texts.find(setting.file_key);
            if (found == texts.end()) {
                continue;
            }
            if (const auto applied = setting.apply(for_model, found->second); !applied) {
                return std::unexpected(applied.error().within("deadline.model \"" + model + "\""));
            }
        }
        options.deadline_by_model[model] = for_model.deadline;
    }
    return {};
}

/// Flag over environment over file over default.
Result<Options> merge(
    const std::vector<std::optional<std::string>>& flags,
    const Surroundings& around,
    const FileSettings& file
) {
    Options options;
    set_places(options, around);
    if (const auto logging = set_logging(options, around); !logging) {
        return error_of(logging);
    }
    for (std::size_t i = 0; i < settings().size(); ++i) {
        const Setting& setting = settings()[i];
        auto text = flags[i];
        std::string source;
        if (!text) {
            text = around.environment(setting.variable);
            source = std::string(setting.variable) + ": ";
        }
        if (!text || text->empty()) {
            const auto found = file.texts.find(setting.file_key);
            text = found == file.texts.end() ? text : std::optional(found->second);
            source = std::string(setting.file_key) + ": ";
        }
        if (!text || (text->empty() && !flags[i])) {
            continue;
        }
        options.token_file_flag =
            options.token_file_flag || (flags[i] && setting.file_key == token_file_key);
        const auto applied = setting.apply(options, *text);
        if (!applied) {
            return flags[i] ? error_of(applied)
                            : std::unexpected(applied.error().within(source + "setting"));
        }
    }
    if (const auto complete = complete_tls(options); !complete) {
        return error_of(complete);
    }
    if (const auto set = set_model_deadlines(options, file); !set) {
        return error_of(set);
    }
    return options;
}

} // namespace

CommandLine
parse_command_line(const std::vector<std::string>& arguments, const Surroundings& around) {
    CLI::App cli(
        "The control plane of rbee: routes prompts to workers on all hives.", "queen-rbee"
    );
    cli.set_version_flag("--version", "queen-rbee " RBEE_VERSION);
    std::string config;
    std::vector<std::optional<std::string>> flags(settings().size());
    for (std::size_t i = 0; i < settings().size(); ++i) {
        if (settings()[i].bare) {
            cli.add_flag_callback(
                settings()[i].flag, [&flags, i] { flags[i] = "on"; }, settings()[i].help
            );
            continue;
        }
        auto* option = cli.add_option(settings()[i].flag, flags[i], settings()[i].help);
        if (settings()[i].list) {
            option->join(',');
        }
    }
    std::optional<int> token_fd;
    cli.add_option("--token-fd", token_fd, "Descriptor to read the API token from");
    cli.add_option("-c,--config", config, "Settings file (TOML)");
    cli.footer(
        "Every setting can also come from the environment or the file; flags win, then the\n"
        "environment. Token: --token-file, the systemd credential api_token,\n"
        "LLORCH_API_TOKEN_FILE, LLORCH_API_TOKEN, $RBEE_HOME/token; the first that is there.\n"
        "Logs: LLORCH_LOG_FORMAT (json or pretty), LLORCH_LOG_LEVEL (trace, debug, info, warn,\n"
        "error or off)."
    );
    try {
        auto reversed = std::vector<std::string>(arguments.rbegin(), arguments.rend());
        cli.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        return {std::nullopt, 0, cli.help()};
    } catch (const CLI::CallForVersion&) {
        return {std::nullopt, 0, "queen-rbee " RBEE_VERSION "\n"};
    } catch (const CLI::ParseError& error) {
        return {std::nullopt, 1, fmt::format("queen-rbee: {}\n", error.what())};
    }
    auto file = read_file(config);
    if (!file) {
        return {std::nullopt, 1, fmt::format("queen-rbee: {}\n", file.error().what)};
    }
    auto options = merge(flags, around, *file);
    if (!options) {
        return {std::nullopt, 1, fmt::format("queen-rbee: {}\n", options.error().what)};
    }
    options->token_fd = token_fd;
    return {std::move(*options), 0, {}};
}

} // namespace rbee::queen
