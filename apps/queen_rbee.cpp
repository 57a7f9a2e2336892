#include "rbee/auth/token_source.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/process/core_dumps.hpp"
#include "rbee/process/service_manager.hpp"
#include "rbee/queen/app.hpp"
#include "rbee/queen/live_options.hpp"
#include "rbee/queen/options.hpp"

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

constexpr const char* token_variable = "LLORCH_API_TOKEN";

std::optional<std::string> environment(std::string_view name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes a variable after the start of main()
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr || *value == '\0') {
        return std::nullopt;
    }
    return std::string(value);
}

std::vector<std::string> environment_for_children() {
    std::vector<std::string> out;
    for (char** entry = ::environ; *entry != nullptr; ++entry) {
        // A child gets its token from us, not by chance.
        if (!std::string_view(*entry).starts_with(token_variable)) {
            out.emplace_back(*entry);
        }
    }
    return rbee::process::without_service_address(std::move(out));
}

int complain(const std::string& what) {
    std::fprintf(stderr, "queen-rbee: %s\n", what.c_str());
    return EXIT_FAILURE;
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    std::error_code unknown; // then siblings are looked for in PATH
    const std::string self = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
    const rbee::queen::Surroundings around{environment, self, ::isatty(2) == 1};
    const auto line = rbee::queen::parse_command_line(arguments, around);
    if (!line.options) {
        std::fputs(line.text.c_str(), line.exit_code == 0 ? stdout : stderr);
        return line.exit_code;
    }
    rbee::Secret from_environment = rbee::auth::take_from_environment(::environ, token_variable);
    auto token = rbee::queen::load_token(*line.options, environment, std::move(from_environment));
    if (!token) {
        return complain(token.error().what);
    }
    if (line.validate_only) {
        const auto usable = rbee::queen::check_files(*line.options, *token);
        const std::string& path = line.options->config.path;
        if (usable) {
            std::printf(
                "queen-rbee: valid: %s\n", path.empty() ? "no settings file" : path.c_str()
            );
        }
        return usable ? EXIT_SUCCESS : complain(usable.error().what);
    }
    if (!line.options->core_dumps) {
        rbee::process::forbid_core_dumps();
    }
    const auto announce = [](const std::string& text) {
        std::puts(text.c_str());
        std::fflush(stdout);
    };
    const auto ended = rbee::queen::run_queen(
        *line.options,
        {std::move(*token),
         environment_for_children(),
         announce,
         rbee::process::service_address(environment, ::getpid()),
         [&] { return rbee::queen::read_options(arguments, around); }}
    );
    return ended ? EXIT_SUCCESS : complain(ended.error().what);
}
