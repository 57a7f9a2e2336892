#include "rbee/cli/settings.hpp"

#include "rbee/auth/token_file.hpp"
#include "rbee/auth/token_source.hpp"
#include "rbee/cli/daemon.hpp"

#include <toml++/toml.h>

#include <optional>
#include <system_error>
#include <utility>

namespace rbee::cli {

namespace fs = std::filesystem;

namespace {

struct FileValues {
    fs::path path;
    std::optional<std::string> queen_url;
    std::optional<std::string> token_file;
    std::optional<std::string> ca_file;
};

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

Result<std::optional<std::string>>
text_at(const toml::table& table, const char* section, const char* key) {
    const auto node = table[section][key];
    if (!node) {
        return std::optional<std::string>();
    }
    auto text = node.value_exact<std::string>();
    if (!text) {
        return fail(Errc::invalid_argument, std::string(section) + "." + key + " must be a string");
    }
    return text;
}

Result<FileValues> read_config(fs::path path) {
    FileValues values;
    try {
        const toml::table table = toml::parse_file(path.string());
        auto url = text_at(table, "queen", "url");
        auto token_file = text_at(table, "auth", "token_file");
        auto ca_file = text_at(table, "queen", "ca_file");
        if (!url || !token_file || !ca_file) {
            const Error& error = !url          ? url.error()
                                 : !token_file ? token_file.error()
                                               : ca_file.error();
            return std::unexpected(error.within(path.string()));
        }
        values.queen_url = std::move(*url);
        values.token_file = std::move(*token_file);
        values.ca_file = std::move(*ca_file);
    } catch (const toml::parse_error& error) {
        return fail(
            Errc::invalid_argument,
            path.string() + ", line " + std::to_string(error.source().begin.line) + ": " +
                std::string(error.description())
        );
    }
    values.path = std::move(path);
    return values;
}

Result<FileValues> find_config(const Environment& environment, const fs::path& user_home) {
    if (const auto named = environment("RBEE_CONFIG")) {
        if (!is_there(*named)) {
            return fail(
                Errc::not_found, "the configuration file of RBEE_CONFIG is missing: " + *named
            );
        }
        return read_config(*named);
    }
    const auto xdg = environment("XDG_CONFIG_HOME");
    const fs::path user = (xdg ? fs::path(*xdg) : user_home / ".config") / "rbee" / "config.toml";
    for (const fs::path& path : {user, fs::path("/etc/rbee/config.toml")}) {
        if (is_there(path)) {
            return read_config(path);
        }
    }
    return FileValues{user, {}, {}, {}};
}

Result<void> load_token(
    Settings& settings,
    const GlobalOptions& options,
    const Environment& environment,
    const std::optional<std::string>& configured
) {
    auth::TokenSources sources;
    sources.file = options.token_file;
    sources.environment = environment;
    sources.from_environment = Secret(environment("LLORCH_API_TOKEN").value_or(""));
    if (sources.from_environment.empty()) { // else a variable wins over the settings file
        sources.configured_file = configured.value_or("");
    }
    sources.home_file = settings.token_file().string();
    auto found = auth::find_token(std::move(sources));
    if (!found) {
        return error_of(found);
    }
    settings.token = std::move(found->token);
    settings.token_path = std::move(found->path);
    settings.token_source =
        found->source == "settings file" ? settings.config_file.string() : std::move(found->source);
    return {};
}

void choose_url(
    Settings& settings,
    const GlobalOptions& options,
    const Environment& environment,
    const std::optional<std::string>& configured
) {
    const auto choose = [&settings](std::string url, std::string source) {
        settings.queen_url = std::move(url);
        settings.queen_source = std::move(source);
    };
    if (!options.queen.empty()) {
        return choose(options.queen, "--queen");
    }
    if (auto url = environment("RBEE_QUEEN_URL")) {
        return choose(std::move(*url), "RBEE_QUEEN_URL");
    }
    if (configured) {
        return choose(*configured, settings.config_file.string());
    }
    if (const auto running = read_pid_file(settings.pid_file()); running && is_running(*running)) {
        return choose(running->url, "rbee up");
    }
    choose("http://127.0.0.1:8080", "default");
}

Result<void> load_tls(
    Settings& settings,
    const GlobalOptions& options,
    const Environment& environment,
    const std::optional<std::string>& configured
) {
    const std::string ours = (settings.home / "pki" / "ca.pem").string();
    if (!options.ca_file.empty()) {
        settings.ca_file = options.ca_file;
    } else if (auto named = environment("RBEE_CA_FILE")) {
        settings.ca_file = std::move(*named);
    } else if (configured) {
        settings.ca_file = *configured;
    } else if (is_there(ours)) {
        settings.ca_file = ours;
    }
    if (!settings.queen.secure) {
        return {};
    }
    auto context = http::TlsContext::client(
        {.ca_file = settings.ca_file,
         .certificate = {},
         .key = {},
         .pinned_ca = {},
         .server_kind = "queen:"}
    );
    if (!context) {
        return error_of(context);
    }
    settings.tls = std::move(*context);
    return {};
}

} // namespace

Result<Settings> load_settings(const GlobalOptions& options, const Environment& environment) {
    Settings settings;
    const fs::path user_home = environment("HOME").value_or("/");
    const auto home = environment("RBEE_HOME");
    settings.home = home ? fs::path(*home) : user_home / ".rbee";
    settings.retry = !environment("RBEE_NO_RETRY");
    const auto file = find_config(environment, user_home);
    if (!file) {
        return error_of(file);
    }
    settings.config_file = file->path;
    choose_url(settings, options, environment, file->queen_url);
    auto endpoint = http::parse_endpoint(settings.queen_url);
    if (!endpoint) {
        return std::unexpected(endpoint.error().within(settings.queen_source));
    }
    settings.queen = std::move(*endpoint);
    if (const auto tls = load_tls(settings, options, environment, file->ca_file); !tls) {
        return error_of(tls);
    }
    const auto token = load_token(settings, options, environment, file->token_file);
    if (!token) {
        return error_of(token);
    }
    return settings;
}

} // namespace rbee::cli
