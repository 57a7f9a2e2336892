#include "rbee/engine/engine.hpp"
#include "rbee/worker/app.hpp"
#include "rbee/worker/options.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// Reads a variable; the token is taken out so that no child and no crash report can show it.
std::optional<std::string> environment(std::string_view name) {
    const std::string key(name);
    const char* value = std::getenv(key.c_str());
    if (value == nullptr || *value == '\0') {
        return std::nullopt;
    }
    std::string text(value);
    if (name == "LLORCH_API_TOKEN") {
        ::unsetenv(key.c_str());
    }
    return text;
}

} // namespace

int main(int argc, char** argv) {
    // An abort of the inference library would start a debugger and hang for half a second.
    ::setenv("GGML_NO_BACKTRACE", "1", 1);

    auto command = rbee::worker::parse_command_line({argv + 1, argv + argc});
    if (command.exit_code) {
        fmt::print(*command.exit_code == 0 ? stdout : stderr, "{}", command.output);
        return *command.exit_code;
    }
    auto app = rbee::worker::WorkerApp::create(
        std::move(command.options), environment, rbee::engine::make_llama_engine()
    );
    if (!app) {
        fmt::print(stderr, "llm-worker-rbee: {}\n", app.error().what);
        return 1;
    }
    return (*app)->run();
}
