#include "rbee/hive/worker_command.hpp"

namespace rbee::hive {

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
        "--token-fd",    std::to_string(launch.token_fd),
        "--pulse-fd",    std::to_string(launch.pulse_fd),
    };
    if (launch.die_with_hive) {
        out.emplace_back("--die-with-hive");
    }
    out.insert(out.end(), {"--hive-lease", std::to_string(launch.hive_lease_s)});
    if (launch.inference_body_mb != 0) {
        out.insert(out.end(), {"--inference-body-mb", std::to_string(launch.inference_body_mb)});
    }
    if (launch.allow_remote_images) {
        out.emplace_back("--allow-remote-images");
    }
    if (!launch.engine_args.empty()) {
        out.emplace_back("--");
        out.insert(out.end(), launch.engine_args.begin(), launch.engine_args.end());
    }
    return out;
}

} // namespace rbee::hive
