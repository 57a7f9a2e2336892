#include "rbee/auth/token_source.hpp"
#include "rbee/hive/app.hpp"
#include "rbee/hive/live_settings.hpp"
#include "rbee/hive/options.hpp"
#include "rbee/process/core_dumps.hpp"

#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

std::optional<std::string> environment(std::string_view name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes a variable after the start of main()
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr || *value == '\0') {
        return std::nullopt;
    }
    return std::string(value);
}

rbee::hive::Surroundings surroundings() {
    rbee::hive::Surroundings out;
    // First of all: no child and no picture of the environment shall show it.
    out.token = rbee::auth::take_from_environment(environ, "LLORCH_API_TOKEN");
    out.environment = environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        out.environment_list.emplace_back(*variable);
    }
    std::error_code ignored;
    out.program_path = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
    char name[HOST_NAME_MAX + 1] = {};
    if (::gethostname(name, sizeof name - 1) == 0) {
        out.host_name = name;
    }
    out.stderr_is_terminal = ::isatty(STDERR_FILENO) == 1;
    return out;
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const rbee::hive::Surroundings around = surroundings();
    auto command = rbee::hive::parse_command_line(arguments, around);
    if (command.settings && command.validate_only) {
        const auto usable = rbee::hive::check_files(*command.settings);
        if (!usable) {
            fmt::print(stderr, "rbee-hive: {}\n", usable.error().what);
            return 1;
        }
        const std::string& path = command.settings->config.path;
        fmt::print("rbee-hive: valid: {}\n", path.empty() ? "no settings file" : path);
        return 0;
    }
    if (command.settings && command.settings->join) {
        const auto name = rbee::hive::join_queen(*command.settings->join);
        if (!name) {
            fmt::print(stderr, "rbee-hive: {}\n", name.error().what);
            return 1;
        }
        fmt::print(stderr, "rbee-hive: joined as {}\n", *name);
        command = rbee::hive::parse_command_line(arguments, around); // with what the queen gave
    }
    if (!command.settings) {
        fmt::print(command.exit_code == 0 ? stdout : stderr, "{}", command.text);
        return command.exit_code;
    }
    if (!command.settings->core_dumps) {
        rbee::process::forbid_core_dumps();
    }
    auto app = rbee::hive::HiveApp::create(
        std::move(*command.settings),
        {.reread = [&] { return rbee::hive::read_settings_again(arguments, around); },
         .on_config = {}}
    );
    if (!app) {
        fmt::print(stderr, "rbee-hive: {}\n", app.error().what);
        return 1;
    }
    return (*app)->run();
}
