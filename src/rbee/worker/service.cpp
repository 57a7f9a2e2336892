#include "rbee/worker/service.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <string>
#include <utility>

namespace rbee::worker {

namespace asio = boost::asio;

namespace {

/// A hung or dead engine is noticed this late; far below what the hive waits for.
constexpr Duration watch_period = std::chrono::seconds(1);
/// Progress is shown when it has moved by this much.
constexpr float progress_step = 0.01F;

/// Why a load failed, for clients: they must not learn where files lie.
std::string without_directory(std::string reason, const std::string& path) {
    const std::string name = path.substr(path.rfind('/') + 1);
    for (auto at = reason.find(path); at != std::string::npos && name != path;
         at = reason.find(path, at + name.size())) {
        reason.replace(at, path.size(), name);
    }
    return reason;
}

} // namespace

WorkerService::WorkerService(
    Settings settings,
    Outside outside,
    const auth::Authenticator& authenticator,
    std::function<void()> shutdown
)
    : core_(std::move(settings), outside),
      gate_(
          authenticator,
          outside.log,
          outside.metrics,
          {.program = "llm-worker-rbee",
           .prefix = "rbee_worker",
           .clock = outside.timers.clock(),
           .invalid = {.per_window = 0}, // one hive speaks for all clients
           .audit = outside.audit,
           .service = core_.settings.worker_id}
      ),
      inference_(core_), engine_(core_), admin_(core_, std::move(shutdown)) {
    inference_.install(gate_.router());
    engine_.install(gate_.router());
    admin_.install(gate_.router());
}

engine::Engine::ProgressFn WorkerService::report_progress() {
    return [this,
            executor = core_.timers.executor(),
            shown = engine::LoadProgress{}](const engine::LoadProgress& progress) mutable {
        const bool moved = progress.fraction - shown.fraction >= progress_step ||
                           progress.layers_loaded != shown.layers_loaded ||
                           progress.layers_total != shown.layers_total || progress.fraction >= 1;
        if (!moved) {
            return;
        }
        shown = progress;
        // Arrives before the result of the load, which takes the same way.
        asio::post(executor, [this, progress] { core_.status.progress(progress); });
    };
}

asio::awaitable<Result<void>> WorkerService::load(runtime::BlockingPool* pool) {
    const TimePoint begin = core_.timers.clock().now();
    core_.log.info("model_load", "loading the model", {{"model", core_.settings.model_name}});
    const Result<engine::ModelInfo> loaded =
        co_await pool->run([this, progress = report_progress()]() mutable {
            return core_.engine.load(core_.settings.load, std::move(progress));
        });
    const Duration took = core_.timers.clock().now() - begin;
    const double took_s = std::chrono::duration<double>(took).count();
    if (!loaded) {
        core_.log.error(
            "model_load_error",
            "the model could not be loaded",
            {{"cause", loaded.error().what}, {"seconds", took_s}}
        );
        core_.status.fail(without_directory(loaded.error().what, core_.settings.load.model_path));
        co_return error_of(loaded);
    }
    core_.model = *loaded;
    core_.slots.set_total(loaded->slots == 0 ? core_.settings.load.slots : loaded->slots);
    core_.metrics.loaded(took);
    core_.status.ready();
    core_.log.info(
        "model_loaded",
        "the model is loaded",
        {{"model", core_.settings.model_name},
         {"description", loaded->description},
         {"size_bytes", loaded->size_bytes},
         {"context_tokens", loaded->context_tokens},
         {"slots", core_.slots.total()},
         {"seconds", took_s}}
    );
    co_return Result<void>();
}

asio::awaitable<void> WorkerService::watch() {
    const TimePoint begin = core_.timers.clock().now();
    while (true) {
        core_.metrics.uptime(core_.timers.clock().now() - begin);
        const bool loaded = core_.status.phase() == WorkerStatus::Phase::ready;
        if (loaded && core_.engine.stats().failed) {
            core_.log.error("engine_failed", "the inference loop has died");
            core_.status.fail("the inference loop has died");
        }
        co_await core_.timers.sleep_for(watch_period);
    }
}

asio::awaitable<void> WorkerService::drain() {
    core_.status.drain();
    const TimePoint due = core_.timers.clock().now() + core_.settings.drain_limit;
    bool in_time = true;
    while (!core_.running.empty() && !hurried_ && in_time) {
        in_time = co_await core_.idle.wait_until(due);
    }
    core_.running.cancel_all(CancelReason::shutdown);
    while (!core_.running.empty()) {
        co_await core_.idle.wait();
    }
}

void WorkerService::hurry() {
    hurried_ = true;
    core_.running.cancel_all(CancelReason::shutdown);
    core_.idle.notify_all();
}

} // namespace rbee::worker
