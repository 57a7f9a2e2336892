#include "rbee/hive/spawn_service.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/domain/model_ref.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
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

/// What a worker is started from: its files as they are now, and its settings. Blocks.
std::string fingerprint_of(const Supervisor::Order& order) {
    struct stat about{};
    if (::stat(order.model.path.c_str(), &about) != 0) {
        return {};
    }
    return fmt::format(
        "{} {} {}.{:09} {} {} {}",
        order.model.path,
        about.st_size,
        about.st_mtim.tv_sec,
        about.st_mtim.tv_nsec,
        order.backend,
        order.slots,
        fmt::join(order.engine_args, " ")
    );
}

/// The engine counts the cores of the machine, not those that it may run on: with more threads than
/// cores they would only get in each other's way. Who names a number knows better.
void use_bound_cpus(const WorkerSettings& how, Supervisor::Order& order) {
    const bool named =
        std::ranges::any_of(
            order.engine_args,
            [](const std::string& one) { return one == "-t" || one.starts_with("--threads"); }
        ) ||
        std::ranges::any_of(how.environment, [](const std::string& one) {
            return one.starts_with("LLAMA_ARG_THREADS=");
        });
    if (!order.cpus.empty() && !named) {
        order.engine_args.insert(
            order.engine_args.end(), {"--threads", std::to_string(order.cpus.size())}
        );
    }
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

asio::awaitable<Checked<api::WorkerInfo>>
SpawnService::attempt(api::SpawnRequest request, std::string correlation_id, std::string actor) {
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
    Supervisor::Order order{
        .model = std::move(*model),
        .backend = std::move(request.backend),
        .slots = request.slots.value_or(with_.settings.worker.slots),
        .engine_args = std::move(request.engine_args),
        .correlation_id = std::move(correlation_id),
        .actor = std::move(actor),
    };
    co_return co_await place_and_start(std::move(order), request.device);
}

asio::awaitable<Checked<Place>>
SpawnService::place(Supervisor::Order order, std::optional<std::uint32_t> device) {
    ResourceCheck::Need need{
        .model_ref = order.model.ref.to_string(),
        .model_bytes = order.model.size_bytes,
        .backend = order.backend,
        .device = device,
        .correlation_id = order.correlation_id,
        .cpus = order.cpus,
    };
    co_return co_await with_.resources.check(std::move(need));
}

asio::awaitable<Result<void>> SpawnService::room_for(Supervisor::Order order) {
    const std::uint32_t device = order.device;
    const auto found = co_await place(std::move(order), device);
    co_return found ? Result<void>() : Result<void>(std::unexpected(found.error().error));
}

asio::awaitable<Checked<api::WorkerInfo>>
SpawnService::place_and_start(Supervisor::Order order, std::optional<std::uint32_t> device) {
    order.fingerprint = co_await with_.pool.run([order] { return fingerprint_of(order); });
    const auto found = co_await place(order, device);
    if (!found) {
        co_return std::unexpected(found.error());
    }
    // From here on nothing is awaited until it runs: others see what it takes.
    order.device = found->device;
    order.cpus = found->cpus;
    use_bound_cpus(with_.settings.worker, order);
    const auto permit = with_.gate.admit(order);
    if (!permit) {
        co_return refused(permit.error());
    }
    const auto started = with_.supervisor.spawn(order);
    if (!started) {
        with_.gate.failed(order, *permit, started.error().what);
        co_return refused(started.error());
    }
    with_.restarter.try_out(started->id, *permit);
    const auto settled = co_await with_.supervisor.settled(started->id, first_look);
    if (!settled) {
        co_return refused(settled.error());
    }
    with_.restarter.keep(started->id);
    co_return *started;
}

asio::awaitable<Checked<api::WorkerInfo>> SpawnService::spawn_like(Supervisor::Order order) {
    if (const auto room = check_room(); !room) {
        co_return refused(room.error());
    }
    const std::uint32_t device = order.device;
    co_return co_await place_and_start(std::move(order), device);
}

asio::awaitable<Checked<api::WorkerInfo>>
SpawnService::spawn(api::SpawnRequest request, std::string correlation_id, std::string actor) {
    const telemetry::Logger log = with_.log.with_correlation(correlation_id);
    auto outcome =
        co_await attempt(std::move(request), std::move(correlation_id), std::move(actor));
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
