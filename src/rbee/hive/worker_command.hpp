#pragma once

#include "rbee/base/result.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace rbee::hive {

/// The descriptor at which a worker finds its page for signs of life.
inline constexpr int worker_pulse_fd = 6;

/// What one worker process is started with.
struct WorkerLaunch {
    std::string worker_id;
    std::string model_path;
    std::string model_ref;
    std::string model_name;
    std::string backend;
    std::uint32_t device = 0;
    std::uint32_t slots = 1;
    std::string hive_url;
    std::vector<std::string> engine_args; ///< llama-server flags, passed behind "--".
    std::uint64_t inference_body_mb = 0;  ///< Largest body of a request; 0: the worker's default.
    bool allow_remote_images = false;     ///< The engine may fetch images that clients name.
    bool die_with_hive = false;           ///< The kernel kills it when the hive has gone.
    std::uint64_t hive_lease_s = 60;      ///< Else it waits so long for the next hive.
    int listen_fd = -1;
    int lifeline_fd = -1;
    int token_fd = -1;
    int pulse_fd = -1;
};

/// Arguments of llm-worker-rbee, without the program itself. Nothing secret is among them.
[[nodiscard]] std::vector<std::string> worker_arguments(const WorkerLaunch& launch);

} // namespace rbee::hive
