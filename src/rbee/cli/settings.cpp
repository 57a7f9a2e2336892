#include "rbee/cli/settings.hpp"

#include "rbee/auth/bearer.hpp"
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
        if (!url || !token_file) {
            const Error& error = url ? token_file.error() : url.error();
            return std::unexpected(error.within(path.string()));
        }
        values.queen_url = std::move(*url);
        values.token_file = std::move(*token_file);
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
    return FileValues{user, {}, {}};
}

Result<void> load_token(
    Settings& settings,
    const GlobalOptions& options,
    const Environment& environment,
    const std::optional<std::string>& configured
) {
    auto found = auth::find_token(options.token_file, environment);
    if (!found) {
        return error_of(found);
    }
    settings.token = std::move(found->token);
    settings.token_source = std::move(found->source);
    settings.token_path = std::move(found->path);
    if (!settings.token_source.empty()) {
        return {};
    }
    if (!configured && !is_there(settings.token_file())) {
        return {};
    }
    const std::string path = configured.value_or(settings.token_file().string());
    auto token = auth::load_token_file(path);
    if (!token) {
        return error_of(token);
    }
    settings.token = std::move(*token);
    settings.token_source = configured ? settings.config_file.string() : path;
    settings.token_path = path;
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
    const auto token = load_token(settings, options, environment, file->token_file);
    if (!token) {
        return error_of(token);
    }
    return settings;
}

} // namespace rbee::cli
