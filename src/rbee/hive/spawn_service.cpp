#include "rbee/hive/spawn_service.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/domain/model_ref.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

/// How long an immediate end is waited for before the answer goes out.
constexpr Duration first_look = std::chrono::milliseconds(100);

std::unexpected<Refusal> refused(Error error) {
    return std::unexpected(Refusal{std::move(error), {}});
}

/// The end of a path: clients are not told where on the machine things are.
std::string shown_path(const std::filesystem::path& path) {
    const std::filesystem::path end = path.parent_path().filename() / path.filename();
    return path.is_absolute() && end != path.relative_path() ? ".../" + end.string() : end.string();
}

Result<void> check_binary(const std::string& path) {
    if (::access(path.c_str(), X_OK) == 0) {
        return {};
    }
    return fail(
        Errc::internal,
        fmt::format(
            "worker program not found at {}; install llm-worker-rbee there or name it with "
            "--worker-binary",
            shown_path(path)
        ),
        "WORKER_BINARY_NOT_FOUND"
    );
}

} // namespace

Result<void> SpawnService::check_room() const {
    if (with_.supervisor.running() >= with_.settings.worker.count_max) {
        return fail(
            Errc::resources,
            fmt::format(
                "this hive runs {} workers already, the most it may",
                with_.settings.worker.count_max
            )
        );
    }
    return {};
}

asio::awaitable<Result<Model>> SpawnService::find_model(const api::SpawnRequest* request) {
    if (!request->model_path.empty()) {
        co_return co_await with_.pool.run([&models = with_.models, path = request->model_path] {
            return models.resolve_path(path);
        });
    }
    const auto ref = domain::parse_spawn_ref(request->model_ref);
    if (!ref) {
        co_return error_of(ref);
    }
    co_return co_await with_.pool.run([&models = with_.models, wanted = *ref] {
        return models.resolve(wanted);
    });
}

asio::awaitable<Checked<std::uint32_t>>
SpawnService::preflight(api::SpawnRequest request, Model model) {
    const Machine::Snapshot there = co_await with_.machine.refresh();
    PreflightInput input;
    input.model_ref = model.ref.to_string();
    input.model_bytes = model.size_bytes;
    input.backend = request.backend;
    input.device = request.device;
    input.devices = there.devices;
    const std::uint64_t promised = with_.supervisor.pending_bytes();
    input.ram_available =
        there.resources.ram_available - std::min(there.resources.ram_available, promised);
    input.ram_reserve = with_.settings.ram_reserve_bytes;
    input.vram_reserve = with_.settings.vram_reserve_bytes;
    co_return check_preflight(input);
}

asio::awaitable<Checked<api::WorkerInfo>>
SpawnService::attempt(api::SpawnRequest request, std::string correlation_id) {
    if (const auto room = check_room(); !room) {
        co_return refused(room.error());
    }
    Result<Model> model = co_await find_model(&request);
    if (!model) {
        co_return refused(model.error());
    }
    const auto binary = check_binary(with_.settings.worker.binary);
    if (!binary) {
        co_return refused(binary.error());
    }
    const auto device = co_await preflight(request, *model);
    if (!device) {
        co_return std::unexpected(device.error());
    }
    Supervisor::Order order{
        .model = std::move(*model),
        .backend = std::move(request.backend),
        .device = *device,
        .slots = request.slots.value_or(with_.settings.worker.slots),
        .engine_args = std::move(request.engine_args),
        .correlation_id = std::move(correlation_id),
    };
    auto started = with_.supervisor.spawn(std::move(order));
    if (!started) {
        co_return refused(started.error());
    }
    const auto settled = co_await with_.supervisor.settled(started->id, first_look);
    if (!settled) {
        co_return refused(settled.error());
    }
    co_return std::move(*started);
}

asio::awaitable<Checked<api::WorkerInfo>>
SpawnService::spawn(api::SpawnRequest request, std::string correlation_id) {
    const telemetry::Logger log = with_.log.with_correlation(correlation_id);
    auto outcome = co_await attempt(std::move(request), std::move(correlation_id));
    if (!outcome) {
        const Error& error = outcome.error().error;
        const std::string code = api::wire_code_of(error);
        const int status = api::status_of(error);
        with_.metrics.spawn_failed(code);
        log.write(
            status < 500 ? telemetry::Level::info : telemetry::Level::error,
            "spawn_refused",
            error.what,
            {{"code", code}, {"status", status}}
        );
    }
    co_return outcome;
}

} // namespace rbee::hive
