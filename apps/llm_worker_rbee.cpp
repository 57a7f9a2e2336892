#include "rbee/auth/token_source.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/worker/app.hpp"
#include "rbee/worker/options.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
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

} // namespace

int main(int argc, char** argv) {
    // An abort of the inference library would start a debugger and hang for half a second.
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
    ::setenv("GGML_NO_BACKTRACE", "1", 1);

    auto command = rbee::worker::parse_command_line({argv + 1, argv + argc});
    if (command.exit_code) {
        fmt::print(*command.exit_code == 0 ? stdout : stderr, "{}", command.output);
        return *command.exit_code;
    }
    auto app = rbee::worker::WorkerApp::create(
        std::move(command.options),
        {environment, rbee::auth::take_from_environment(::environ, token_variable)},
        rbee::engine::make_llama_engine()
    );
    if (!app) {
        fmt::print(stderr, "llm-worker-rbee: {}\n", app.error().what);
        return 1;
    }
    return (*app)->run();
}
