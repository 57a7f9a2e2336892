#include "rbee/config/paths.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

namespace rbee::config {
namespace {

std::optional<std::string> value_of(const Environment& environment, std::string_view name) {
    auto value = environment(name);
    return value && !value->empty() ? std::move(value) : std::nullopt;
}

} // namespace

Result<Paths> Paths::from(const Environment& environment) {
    auto folder = value_of(environment, "RBEE_HOME");
    if (!folder) {
        const auto home = value_of(environment, "HOME");
        if (!home) {
            return fail(Errc::invalid_argument, "set RBEE_HOME or HOME: no place to keep data");
        }
        folder = *home + "/.rbee";
    }
    if (!folder->starts_with('/')) {
        return fail(Errc::invalid_argument, "the data folder must be an absolute path: " + *folder);
    }
    while (folder->size() > 1 && folder->ends_with('/')) {
        folder->pop_back();
    }
    return Paths(std::move(*folder));
}

std::string Paths::database(std::string_view program) const {
    return data_dir_ + "/" + std::string(program) + ".db";
}

std::optional<std::string>
find_config(const ConfigQuery& query, const std::function<bool(const std::string& path)>& exists) {
    std::string upper(query.program);
    for (char& c : upper) {
        c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    if (auto named = value_of(query.environment, "RBEE_" + upper + "_CONFIG")) {
        return named;
    }
    const std::string file = "/rbee/" + std::string(query.program) + ".toml";
    auto own = value_of(query.environment, "XDG_CONFIG_HOME");
    if (const auto home = value_of(query.environment, "HOME"); home && !own) {
        own = *home + "/.config";
    }
    if (own && exists(*own + file)) {
        return *own + file;
    }
    std::string system = "/etc" + file;
    return exists(system) ? std::optional(std::move(system)) : std::nullopt;
}

std::optional<std::string> find_config(const ConfigQuery& query) {
    return find_config(query, [](const std::string& path) {
        std::error_code error;
        return std::filesystem::exists(path, error);
    });
}

std::string expand_home(std::string_view path, const Environment& environment) {
    const auto home = value_of(environment, "HOME");
    if (home && (path == "~" || path.starts_with("~/"))) {
        return *home + std::string(path.substr(1));
    }
    return std::string(path);
}

} // namespace rbee::config
