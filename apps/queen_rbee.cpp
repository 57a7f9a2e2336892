#include "rbee/base/secret.hpp"
#include "rbee/queen/app.hpp"
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

std::optional<std::string> environment(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::vector<std::string> environment_for_children() {
    std::vector<std::string> out;
    for (char** entry = ::environ; *entry != nullptr; ++entry) {
        // A child gets its token from us, not by chance.
        if (!std::string_view(*entry).starts_with(token_variable)) {
            out.emplace_back(*entry);
        }
    }
    return out;
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
    const auto line =
        rbee::queen::parse_command_line(arguments, {environment, self, ::isatty(2) == 1});
    if (!line.options) {
        std::fputs(line.text.c_str(), line.exit_code == 0 ? stdout : stderr);
        return line.exit_code;
    }
    rbee::Secret from_environment(environment(token_variable).value_or(""));
    ::unsetenv(token_variable);
    auto token = rbee::queen::load_token(*line.options, std::move(from_environment));
    if (!token) {
        return complain(token.error().what);
    }
    const auto announce = [](const std::string& text) {
        std::puts(text.c_str());
        std::fflush(stdout);
    };
    const auto ended = rbee::queen::run_queen(
        *line.options, {std::move(*token), environment_for_children(), announce}
    );
    return ended ? EXIT_SUCCESS : complain(ended.error().what);
}
