#include "rbee/engine/llama_flags.hpp"

#include "rbee/base/result.hpp"
#include "rbee/base/text.hpp"
#include "rbee/engine/engine.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arg.h"
#include "chat.h"
#include "common.h"
#include "ggml-backend.h"

namespace rbee::engine {
namespace {

using Names = std::initializer_list<std::string_view>;

/// Flags that print something and call exit().
constexpr Names exiting_flags{
    "-h",
    "--help",
    "--usage",
    "--version",
    "-cl",
    "--cache-list",
    "--completion-bash",
    "--list-devices"
};

/// Flags whose value comes from rbee, or that only make sense for a server that owns its model.
constexpr Names owned_flags{
    "-m",
    "--model",
    "-mu",
    "--model-url",
    "-dr",
    "--docker-repo",
    "-hf",
    "-hfr",
    "--hf-repo",
    "-hff",
    "--hf-file",
    "-a",
    "--alias",
    "--models-dir",
    "--models-preset",
    // Unloading an idle model is the hive's decision; here it would free what requests still use.
    "--sleep-idle-seconds"
};

/// Flags that act at once when they are read, so that a rehearsal must leave them out.
constexpr Names immediate_flags{"--rpc", "--log-file", "--log-disable"};

bool contains(Names names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

bool has_any(const std::vector<std::string>& arguments, Names names) {
    return std::ranges::any_of(arguments, [&](const std::string& argument) {
        return contains(names, argument);
    });
}

/// llama.cpp reads `--some_flag` as `--some-flag`.
std::string normalized(std::string flag) {
    if (flag.starts_with("--")) {
        std::ranges::replace(flag, '_', '-');
    }
    return flag;
}

/// Applies flags to scratch parameters, one after the other, so that a problem is an Error with
/// its reason; common_params_parse() would print it, and for some even end the process.
class Rehearsal {
public:
    Rehearsal() : context_(common_params_parser_init(params_, LLAMA_EXAMPLE_SERVER)) {
        for (common_arg& option : context_.options) {
            for (const char* name : option.args) {
                known_[name] = {&option, true};
            }
            for (const char* name : option.args_neg) {
                known_[name] = {&option, false};
            }
        }
    }

    Result<void> run(const std::vector<std::string>& arguments) {
        for (std::size_t i = 0; i < arguments.size();) {
            const auto used = apply(arguments, i);
            if (!used) {
                return error_of(used);
            }
            i += *used;
        }
        if (!params_.chat_template.empty() &&
            !common_chat_verify_template(params_.chat_template, params_.use_jinja)) {
            return fail(Errc::invalid_argument, "the chat template given by flag cannot be used");
        }
        return {};
    }

private:
    static std::size_t values_of(const common_arg& option) {
        if (option.handler_str_str != nullptr) {
            return 2;
        }
        return option.handler_string != nullptr || option.handler_int != nullptr ? 1 : 0;
    }

    Result<std::size_t> apply(const std::vector<std::string>& arguments, std::size_t at) {
        const std::string flag = normalized(arguments[at]);
        if (contains(exiting_flags, flag) || contains(owned_flags, flag)) {
            return fail(Errc::invalid_argument, "engine flag " + flag + " is not available here");
        }
        const auto known = known_.find(flag);
        if (known == known_.end()) {
            return fail(Errc::invalid_argument, "unknown engine flag: " + flag);
        }
        const auto& [option, positive] = known->second;
        const std::size_t values = values_of(*option);
        if (at + values >= arguments.size()) {
            return fail(Errc::invalid_argument, "engine flag " + flag + " needs a value");
        }
        if (contains(immediate_flags, flag)) {
            return 1 + values;
        }
        try {
            call(*option, positive, arguments.data() + at);
        } catch (const std::exception& error) {
            return fail(
                Errc::invalid_argument,
                "engine flag " + flag + ": " + std::string(trim(error.what()))
            );
        }
        return 1 + values;
    }

    /// `flag` points to the flag itself; its values follow.
    void call(const common_arg& option, bool positive, const std::string* flag) {
        if (option.handler_void != nullptr) {
            option.handler_void(params_);
        } else if (option.handler_bool != nullptr) {
            option.handler_bool(params_, positive);
        } else if (option.handler_int != nullptr) {
            option.handler_int(params_, std::stoi(flag[1]));
        } else if (option.handler_string != nullptr) {
            option.handler_string(params_, flag[1]);
        } else if (option.handler_str_str != nullptr) {
            option.handler_str_str(params_, flag[1], flag[2]);
        }
    }

    common_params params_;
    common_params_context context_;
    std::map<std::string, std::pair<common_arg*, bool>> known_;
};

bool has_gpu() {
    return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU) != nullptr;
}

/// llama.cpp's name of the device that was asked for.
std::string device_name(const LoadOptions& options) {
    if (options.backend == "cpu") {
        return "none";
    }
    return (options.backend == "cuda" ? "CUDA" : "MTL") + std::to_string(options.device);
}

/// Left alone, llama.cpp would take the CPU when the device is not there.
Result<void> check_device(const LoadOptions& options) {
    const std::string name = device_name(options);
    if (options.backend == "cpu" || ggml_backend_dev_by_name(name.c_str()) != nullptr) {
        return {};
    }
    return fail(
        Errc::unsupported,
        "this worker program finds no device " + name + ": it was built without " +
            options.backend + ", or the driver does not work",
        "BACKEND_UNAVAILABLE"
    );
}

} // namespace

std::vector<std::string> llama_command_line(const LoadOptions& options) {
    const std::vector<std::string>& user = options.engine_args;
    std::vector<std::string> line{"rbee", "--model", options.model_path};
    const auto add_default = [&](Names names, const std::string& value) {
        if (!has_any(user, names)) {
            line.insert(line.end(), {std::string(*names.begin()), value});
        }
    };
    add_default({"--parallel", "-np"}, std::to_string(options.slots));
    // A cancel waits for the running batch, and with it the other streams, so batches are kept
    // small: no larger than a micro-batch, which on a CPU is fast enough with 128. An embedding
    // must fit into one batch, so there llama.cpp's sizes stay.
    if (!has_any(user, {"--embedding", "--embeddings", "--rerank", "--reranking"})) {
        const char* const tokens = options.backend != "cpu" ? "512" : "128";
        add_default({"--batch-size", "-b"}, tokens);
        add_default({"--ubatch-size", "-ub"}, tokens);
    }
    // llama.cpp would keep 8 GiB of states, also where that is all the memory there is.
    add_default({"--cache-ram", "-cram"}, std::to_string(options.prompt_cache_mib));
    if (options.backend != "cpu" || has_gpu()) {
        add_default({"--device", "-dev"}, device_name(options));
    }
    line.insert(line.end(), user.begin(), user.end());
    return line;
}

Result<void> parse_llama_flags(const LoadOptions& options, common_params& params) {
    if (auto there = check_device(options); !there) {
        return there;
    }
    try {
        if (auto rehearsed = Rehearsal().run(options.engine_args); !rehearsed) {
            return rehearsed;
        }
        std::vector<std::string> line = llama_command_line(options);
        std::vector<char*> argv;
        argv.reserve(line.size() + 1);
        for (std::string& argument : line) {
            argv.push_back(argument.data());
        }
        argv.push_back(nullptr);
        if (!common_params_parse(
                static_cast<int>(line.size()), argv.data(), params, LLAMA_EXAMPLE_SERVER
            )) {
            return fail(Errc::invalid_argument, "llama.cpp refuses its flags; see standard error");
        }
    } catch (const std::exception& error) {
        return fail(Errc::invalid_argument, "engine flags: " + std::string(trim(error.what())));
    }
    return {};
}

} // namespace rbee::engine
