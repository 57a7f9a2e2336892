#pragma once

#include "rbee/http/url.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rbee::worker {

/// The command line of llm-worker-rbee, checked.
struct WorkerOptions {
    std::string worker_id;
    std::string model_path;
    std::string model_ref;  ///< As the hive knows the model; "file:<path>" when not given.
    std::string model_name; ///< Name in answers; made from the reference when not given.
    std::string backend = "cpu";
    std::uint32_t device = 0;
    std::uint32_t slots = 4;
    std::optional<int> listen_fd; ///< A listening socket of the parent; wins over `listen`.
    http::Endpoint listen{.host = "127.0.0.1", .port = 0, .unix_path = {}};
    std::optional<http::Endpoint> hive;
    std::optional<int> lifeline_fd;  ///< End of file there: the hive has died.
    bool die_with_hive = false;      ///< The kernel kills this process when the hive has gone.
    std::uint64_t hive_lease_s = 60; ///< How long to wait for another hive when there is none.
    std::optional<int> token_fd;     ///< What the hive hands the token over by; wins over the file.
    std::optional<int> pulse_fd;     ///< Page that shows the hive signs of life.
    std::string token_file;
    std::uint64_t inference_body_mb = 16; ///< Largest body of an inference request, in MiB.
    bool allow_remote_images = false;     ///< The engine may fetch images that clients name by URL.
    std::vector<std::string> engine_args; ///< What follows `--`.
};

/// What a command line asks for: to run, or to print something and leave.
struct CommandLine {
    WorkerOptions options;
    std::optional<int> exit_code;
    std::string output; ///< For standard output, or for standard error when exit_code is not 0.
};

/// Reads the arguments without the program's name.
[[nodiscard]] CommandLine parse_command_line(const std::vector<std::string>& arguments);

} // namespace rbee::worker
