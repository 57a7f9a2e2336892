#include "rbee/worker/program.hpp"

#include "rbee/worker/options.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace rbee::worker {
namespace {

int failed(std::string_view why) {
    fmt::print(stderr, "llm-worker-rbee: {}\n", why);
    return EXIT_FAILURE;
}

} // namespace

int run_program(
    const std::vector<std::string>& arguments,
    Surroundings around,
    std::unique_ptr<engine::Engine> engine
) {
    auto command = parse_command_line(arguments);
    if (command.exit_code) {
        fmt::print(*command.exit_code == 0 ? stdout : stderr, "{}", command.output);
        return *command.exit_code;
    }
    if (const auto fd = command.options.pulse_fd) {
        const auto taken = process::PulseHolder::take(*fd);
        if (!taken) {
            return failed(taken.error().what);
        }
        around.pulse = *taken;
    }
    const auto pulse = around.pulse;
    auto app = WorkerApp::create(std::move(command.options), std::move(around), std::move(engine));
    if (!app) {
        if (pulse) {
            pulse->fatal(app.error().what, EXIT_FAILURE);
            pulse->leaving(EXIT_FAILURE);
        }
        return failed(app.error().what);
    }
    return (*app)->run();
}

} // namespace rbee::worker
