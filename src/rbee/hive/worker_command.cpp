#include "rbee/hive/worker_command.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace rbee::hive {
namespace {

constexpr std::size_t engine_args_max = 64;
constexpr std::size_t engine_arg_bytes_max = 4096;

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
}

} // namespace

std::vector<std::string> worker_arguments(const WorkerLaunch& launch) {
    std::vector<std::string> out = {
        "--worker-id",   launch.worker_id,
        "--model",       launch.model_path,
        "--model-ref",   launch.model_ref,
        "--model-name",  launch.model_name,
        "--backend",     launch.backend,
        "--device",      std::to_string(launch.device),
        "--slots",       std::to_string(launch.slots),
        "--listen-fd",   std::to_string(launch.listen_fd),
        "--hive-url",    launch.hive_url,
        "--lifeline-fd", std::to_string(launch.lifeline_fd),
    };
    if (!launch.engine_args.empty()) {
        out.emplace_back("--");
        out.insert(out.end(), launch.engine_args.begin(), launch.engine_args.end());
    }
    return out;
}

Result<void> check_engine_args(const std::vector<std::string>& args) {
    if (args.size() > engine_args_max) {
        return fail(
            Errc::invalid_argument,
            fmt::format("engine_args: at most {} are taken", engine_args_max)
        );
    }
    for (const std::string& arg : args) {
        if (arg.empty() || arg.size() > engine_arg_bytes_max ||
            std::ranges::any_of(arg, is_control)) {
            return fail(
                Errc::invalid_argument,
                fmt::format(
                    "engine_args: each must have 1-{} bytes and no control characters",
                    engine_arg_bytes_max
                )
            );
        }
    }
    return {};
}

} // namespace rbee::hive
