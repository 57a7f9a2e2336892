#include "rbee/base/activity.hpp"
#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/llama_engine.hpp"
#include "rbee/engine/llama_flags.hpp"
#include "rbee/engine/llama_log.hpp"
#include "rbee/engine/llama_stats.hpp"
#include "rbee/engine/model_file.hpp"
#include "rbee/engine/thread_pool.hpp"

#include <stdlib.h> // setenv

#include <algorithm>
#include <array>
#include <chrono>
#include <clocale>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <expected>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "common.h"
#include "llama.h"
#include "log.h"
#include "server-common.h"
#include "server-context.h"

namespace rbee::engine {
namespace {

constexpr std::size_t generations_waiting_max = 4096;
// A few more readers than slots: their bodies are read and tokenised while all slots are busy.
constexpr std::size_t readers_ahead = 4;
constexpr ThreadPool::Limits call_limits{.threads = 8, .waiting = 256};
constexpr std::chrono::seconds first_answer_patience{30};
// The encoder of an image is one computation that shows nothing until it is done.
constexpr std::chrono::milliseconds media_patience = std::chrono::minutes(2);

/// Turns llama.cpp's loading states into our progress.
class ProgressReporter {
public:
    ProgressReporter(Engine::ProgressFn progress, const ModelFile& file, Activity& activity)
        : progress_(std::move(progress)), file_(file), activity_(activity) {}

    void on_state(server_state state, const json& payload) {
        activity_.step();
        // Projector and draft model come after the weights that count here.
        if (state == SERVER_STATE_LOADING &&
            json_value(payload, "current", std::string()) == "text_model") {
            report(json_value(payload, "value", 0.0F));
        }
    }

    void report(float fraction) {
        last_ = std::clamp(fraction, last_, 1.0F);
        if (progress_) {
            const auto part = static_cast<double>(last_);
            progress_(
                {.fraction = last_,
                 .layers_loaded = static_cast<std::uint32_t>(part * file_.layers),
                 .layers_total = file_.layers,
                 .loaded_bytes =
                     static_cast<std::uint64_t>(part * static_cast<double>(file_.size_bytes))}
            );
        }
    }

private:
    Engine::ProgressFn progress_;
    ModelFile file_;
    Activity& activity_;
    float last_ = 0;
};

/// Why llama.cpp could not load, from what it logged.
Error load_error(const std::string& path) {
    const std::string log = llama_errors();
    if (log.empty()) {
        // The server part logs past our callback: a chat template, a projector, a draft model.
        return {Errc::unsupported, "cannot use " + path + "; the cause is on standard error"};
    }
    const std::string marker = "unknown model architecture: '";
    if (const auto at = log.find(marker); at != std::string::npos) {
        const auto begin = at + marker.size();
        const std::string name = log.substr(begin, log.find('\'', begin) - begin);
        return {Errc::unsupported, "architecture " + name + " is not supported: " + path};
    }
    const bool memory = log.find("failed to allocate") != std::string::npos ||
                        log.find("out of memory") != std::string::npos;
    return {memory ? Errc::resources : Errc::corrupt, "cannot load " + path + ": " + log};
}

void prepare_process() {
    // Otherwise an abort in ggml first attaches a debugger, which takes half a second and more.
    // No other thread of ours exists yet.
    ::setenv("GGML_NO_BACKTRACE", "1", 1); // NOLINT(concurrency-mt-unsafe): see above.
    // llama.cpp reads and writes numbers with the C library.
    std::setlocale(LC_NUMERIC, "C"); // NOLINT(concurrency-mt-unsafe): see above.
    route_llama_log();
    clear_llama_errors();
}

} // namespace

Result<ModelInfo> LlamaEngine::load(const LoadOptions& options, ProgressFn progress) {
    if (state_ != State::empty || server_ != nullptr) {
        return fail(Errc::conflict, "the engine was loaded before");
    }
    prepare_process();
    params_ = common_params{};
    activity_ = options.activity != nullptr ? options.activity : &unseen_;
    allow_remote_images_ = options.allow_remote_images;
    const auto file = inspect_model_file(options.model_path);
    if (!file) {
        return error_of(file);
    }
    if (const auto parsed = parse_llama_flags(options, params_); !parsed) {
        return error_of(parsed);
    }
    fix_up_parameters(options);
    ProgressReporter reporter(std::move(progress), *file, *activity_);
    server_ = std::make_unique<server_context>();
    server_->set_state_callback([&reporter](server_state state, const json& payload) {
        reporter.on_state(state, payload);
    });
    auto loaded = load_model(options);
    if (loaded) {
        show_activity();
        server_->set_state_callback([](server_state, const json&) {});
        loaded = start_loop();
    }
    if (!loaded) {
        unload();
        return error_of(loaded);
    }
    reporter.report(1.0F);
    state_ = State::serving;
    return model_info();
}

/// The same as llama_server() does between reading its flags and loading.
void LlamaEngine::fix_up_parameters(const LoadOptions& options) {
    if (params_.verbosity == common_params{}.verbosity) {
        common_log_set_verbosity_thold(LOG_LEVEL_WARN);
    }
    if (params_.embedding && params_.n_batch > params_.n_ubatch) {
        params_.n_batch = params_.n_ubatch;
    }
    if (params_.n_parallel < 0) {
        params_.n_parallel = 4;
        params_.kv_unified = true;
    }
    // UINT32_MAX marks `-c 0`, the whole context of the model.
    if (params_.kv_unified_per_slot > 0 && params_.n_ctx == 0 &&
        static_cast<std::uint32_t>(params_.fit_params_min_ctx) != UINT32_MAX) {
        params_.n_ctx = params_.n_parallel * params_.kv_unified_per_slot;
    }
    // Not by flag: that one splits names at commas.
    params_.model_alias = {options.model_name};
}

Result<void> LlamaEngine::load_model(const LoadOptions& options) {
    try {
        llama_backend_init();
        llama_numa_init(params_.numa);
        // Must come before load_model(): it registers itself with the queue.
        routes_ = std::make_unique<server_routes>(params_, *server_);
        if (!server_->load_model(params_)) {
            return std::unexpected(load_error(options.model_path));
        }
        routes_->update_meta(*server_);
        meta_ = std::make_unique<const server_context_meta>(server_->get_meta());
        vocab_ = llama_model_get_vocab(llama_get_model(server_->get_llama_context()));
    } catch (const std::bad_alloc&) {
        return fail(Errc::resources, "not enough memory to load " + options.model_path);
    } catch (const std::exception& error) {
        return fail(Errc::corrupt, "cannot load " + options.model_path + ": " + error.what());
    }
    return {};
}

/// llama.cpp asks after each part of a graph whether to go on. Backends that do not ask are seen
/// by the decodes that the sampler reports.
void LlamaEngine::show_activity() {
    const auto step = [](void* activity) {
        static_cast<Activity*>(activity)->step();
        return false; // go on
    };
    llama_set_abort_callback(server_->get_llama_context(), step, activity_);
    if (meta_->has_mtmd) {
        activity_->patience_ms = static_cast<std::uint32_t>(media_patience.count());
    }
}

Result<void> LlamaEngine::start_loop() {
    // Set before other threads read it. Warnings of the server part are about single requests.
    if (params_.verbosity == common_params{}.verbosity) {
        common_log_set_verbosity_thold(LOG_LEVEL_ERROR);
    }
    const auto readers = static_cast<std::size_t>(params_.n_parallel) + readers_ahead;
    generation_pool_ = std::make_unique<ThreadPool>(
        "rbee-gen", ThreadPool::Limits{.threads = readers, .waiting = generations_waiting_max}
    );
    call_pool_ = std::make_unique<ThreadPool>("rbee-call", call_limits);
    sampler_ = std::make_unique<LoopSampler>(*server_, *activity_);
    loop_ = std::thread([this] { run_loop(); });
    // terminate() before the loop has begun would be lost, so wait for its first sign of life.
    if (!sampler_->sample(first_answer_patience).fresh) {
        return fail(Errc::internal, "the inference loop does not start");
    }
    return {};
}

void LlamaEngine::unload() {
    if (sampler_) {
        sampler_->stop();
    }
    if (loop_.joinable()) {
        server_->terminate();
        loop_.join();
    }
    routes_.reset();
    meta_.reset();
    server_.reset();
    llama_backend_free();
}

ModelInfo LlamaEngine::model_info() const {
    std::array<char, 256> description{};
    const llama_model* model = llama_get_model(server_->get_llama_context());
    llama_model_desc(model, description.data(), description.size());
    ModelInfo info;
    info.description = description.data();
    info.size_bytes = meta_->model_size;
    info.parameters = meta_->model_n_params;
    info.context_tokens = static_cast<std::uint32_t>(meta_->slot_n_ctx);
    info.layers = static_cast<std::uint32_t>(llama_model_n_layer(model));
    info.slots = static_cast<std::uint32_t>(params_.n_parallel);
    info.embeddings = params_.embedding;
    info.vision = meta_->has_inp_image;
    return info;
}

} // namespace rbee::engine
