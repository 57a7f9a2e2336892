#include "rbee/worker/options.hpp"

#include "rbee/base/ids.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/domain/validate.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace rbee::worker {
namespace {

/// Arguments as they are, before they make sense together.
struct Raw {
    std::string host = "127.0.0.1";
    std::uint32_t port = 0;
    std::string socket_path;
    std::string hive_url;
};

void declare(CLI::App& app, WorkerOptions& options, Raw& raw) {
    app.name("llm-worker-rbee");
    app.set_version_flag("--version", "llm-worker-rbee " RBEE_VERSION);
    app.add_option("--worker-id", options.worker_id, "Id of this worker, unique on its hive");
    app.add_option("--model", options.model_path, "The model: a GGUF file")->required();
    app.add_option("--model-ref", options.model_ref, "Reference of the model at the hive");
    app.add_option("--model-name", options.model_name, "Name of the model in answers");
    app.add_option("--backend", options.backend, "cpu, cuda or metal")->capture_default_str();
    app.add_option("--device", options.device, "Number of the device")->capture_default_str();
    app.add_option("--slots", options.slots, "Requests that run at the same time")
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    auto* fd = app.add_option("--listen-fd", options.listen_fd, "Listening socket to take over");
    auto* host = app.add_option("--host", raw.host, "Address to listen on")->capture_default_str();
    auto* port = app.add_option("--port", raw.port, "Port to listen on; 0 = any that is free")
                     ->capture_default_str();
    auto* path = app.add_option("--socket", raw.socket_path, "Unix socket to listen on");
    fd->excludes(host)->excludes(port)->excludes(path);
    path->excludes(host)->excludes(port);
    app.add_option("--hive-url", raw.hive_url, "Hive to report to; alone when not given");
    app.add_option("--lifeline-fd", options.lifeline_fd, "Stop when this pipe ends");
    app.add_flag("--die-with-hive", options.die_with_hive, "Be killed when the hive has gone");
    app.add_option("--hive-lease", options.hive_lease_s, "Seconds to wait for another hive")
        ->capture_default_str()
        ->check(CLI::Range(1, 86'400));
    app.add_option("--pulse-fd", options.pulse_fd, "Shared page to show signs of life in");
    app.add_option("--inference-body-mb", options.inference_body_mb, "Largest request body in MiB")
        ->capture_default_str()
        ->check(CLI::Range(1, 1024));
    app.add_flag(
        "--allow-remote-images",
        options.allow_remote_images,
        "Let the engine fetch images that clients name by URL"
    );
    app.add_option("--token-fd", options.token_fd, "Descriptor to read the bearer token from");
    app.add_option("--token-file", options.token_file, "File with the bearer token, mode 0600");
    app.footer(
        "Flags of llama-server may follow after --, such as: -- --ctx-size 8192 --threads 4\n"
        "Token: --token-file, the systemd credential api_token, LLORCH_API_TOKEN_FILE,\n"
        "LLORCH_API_TOKEN, $RBEE_HOME/token; the first that is there.\n"
        "Logs: LLORCH_LOG_FORMAT (json or pretty), LLORCH_LOG_LEVEL (trace, debug, info, warn,\n"
        "error or off)"
    );
}

Result<void> name_model(WorkerOptions& options) {
    if (options.model_ref.empty()) {
        options.model_ref = "file:" + options.model_path;
    }
    if (options.model_name.empty()) {
        // A path may hold characters that a reference must not; the file's name will do then.
        const auto ref = domain::parse_model_ref(options.model_ref);
        const domain::ModelRef path{
            .provider = domain::ModelRef::Provider::file, .reference = options.model_path
        };
        options.model_name = ref ? ref->model_name() : path.model_name();
    }
    if (options.model_name.empty() || options.model_name.size() > 512) {
        return fail(Errc::invalid_argument, "--model-name must have 1 to 512 characters");
    }
    return {};
}

Result<void> finish(WorkerOptions& options, const Raw& raw) {
    if (options.worker_id.empty()) {
        options.worker_id = "worker-" + make_uuid();
    }
    if (const auto valid = domain::check_worker_id(options.worker_id); !valid) {
        return std::unexpected(valid.error().within("--worker-id"));
    }
    if (const auto valid = domain::check_backend(options.backend); !valid) {
        return std::unexpected(valid.error().within("--backend"));
    }
    if (const auto valid = domain::check_port(raw.port); !valid) {
        return std::unexpected(valid.error().within("--port"));
    }
    const domain::TextRule name_rule{.bytes_max = 4200};
    for (const auto& [flag, text] :
         {std::pair("--model-ref", &options.model_ref), {"--model-name", &options.model_name}}) {
        if (const auto valid = domain::check_text(flag, *text, name_rule); !valid) {
            return valid;
        }
    }
    const auto port = static_cast<std::uint16_t>(raw.port);
    options.listen = {.host = raw.host, .port = port, .unix_path = raw.socket_path};
    if (!raw.socket_path.empty()) {
        options.listen = {.host = {}, .port = 0, .unix_path = raw.socket_path};
    }
    if (!raw.hive_url.empty()) {
        auto hive = http::parse_endpoint(raw.hive_url);
        if (!hive) {
            return std::unexpected(hive.error().within("--hive-url"));
        }
        options.hive = std::move(*hive);
    }
    return name_model(options);
}

} // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
    CommandLine out;
    const auto dashes = std::ranges::find(arguments, "--");
    std::vector<std::string> own(arguments.begin(), dashes);
    if (dashes != arguments.end()) {
        out.options.engine_args.assign(dashes + 1, arguments.end());
    }
    std::ranges::reverse(own); // as CLI11 wants it

    CLI::App app("Loads one model and answers inference requests.");
    Raw raw;
    declare(app, out.options, raw);
    try {
        app.parse(std::move(own));
    } catch (const CLI::ParseError& error) {
        std::ostringstream text;
        std::ostringstream problem;
        const bool asked = app.exit(error, text, problem) == 0;
        out.exit_code = asked ? 0 : 1;
        out.output = asked ? text.str() : "llm-worker-rbee: " + problem.str();
        return out;
    }
    if (const auto finished = finish(out.options, raw); !finished) {
        out.exit_code = 1;
        out.output = fmt::format("llm-worker-rbee: {}\n", finished.error().what);
    }
    return out;
}

} // namespace rbee::worker
