// The part of the supervisor that starts and takes over processes.
#include "rbee/auth/token.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/base/ids.hpp"
#include "rbee/hive/log_tail.hpp"
#include "rbee/hive/preflight.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/supervisor_running.hpp"
#include "rbee/hive/worker_command.hpp"
#include "rbee/process/log_file.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace rbee::hive {

namespace {

/// Descriptors at which a worker finds its socket, its lifeline and its token.
constexpr int child_listen_fd = 3;
constexpr int child_lifeline_fd = 4;
constexpr int child_token_fd = 5;
/// When memory runs out the kernel takes a worker, which comes back, rather than the hive.
constexpr int worker_oom_score = 500;

std::uint64_t size_of(const UniqueFd& file) {
    struct stat about{};
    return ::fstat(file.get(), &about) == 0 ? static_cast<std::uint64_t>(about.st_size) : 0;
}

} // namespace

process::Command Supervisor::command_for(const Order& order, const Running& worker) const {
    const WorkerSettings& how = with_.settings.worker;
    process::Command command;
    command.program = how.binary;
    command.args = worker_arguments({
        .worker_id = worker.id,
        .model_path = order.model.path,
        .model_ref = order.model.ref.to_string(),
        .model_name = order.model.name,
        .backend = order.backend,
        .device = order.device,
        .slots = order.slots,
        .hive_url = hive_url_,
        .engine_args = order.engine_args,
        .inference_body_mb = with_.settings.http.inference_body_bytes_max >> 20U,
        .allow_remote_images = how.allow_remote_images,
        .die_with_hive = !with_.settings.adoption.adopt,
        .hive_lease_s = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::seconds>(with_.settings.adoption.lease).count()
        ),
        .listen_fd = child_listen_fd,
        .lifeline_fd = child_lifeline_fd,
        .token_fd = child_token_fd,
        .pulse_fd = worker_pulse_fd,
    });
    command.env = how.environment;
    command.oom_score_adj = worker_oom_score;
    command.limits = {
        {.resource = RLIMIT_CORE, .value = with_.settings.core_dumps ? RLIM_INFINITY : 0}
    };
    command.cpus = order.cpus;
    return command;
}

Result<Supervisor::RunningPtr> Supervisor::launch(const Order& order, std::string id) {
    const WorkerSettings& how = with_.settings.worker;
    auto listener = listen_for_worker(how.host, how.ports);
    if (!listener) {
        return error_of(listener);
    }
    auto lifeline = process::Lifeline::make();
    if (!lifeline) {
        return error_of(lifeline);
    }
    auto worker = std::make_shared<Running>(with_.timers);
    worker->token = std::make_shared<const Secret>(auth::make_token());
    const auto token_end = auth::hand_over(*worker->token);
    if (!token_end) {
        return error_of(token_end);
    }
    worker->id = std::move(id);
    const http::Endpoint endpoint{.host = how.host, .port = listener->port, .unix_path = {}};
    worker->url = endpoint.to_string();
    worker->log_path = log_path_of(how.log_dir, worker->id);
    worker->need_bytes = required_bytes(order.model.size_bytes);
    if (how.ports.first != 0 && listener->port != how.ports.first) {
        with_.log.info(
            "port_occupied",
            "an occupied port was passed over",
            {{"worker_id", worker->id}, {"port", listener->port}}
        );
    }
    auto pulse = process::PulsePage::make(worker->id);
    if (!pulse) {
        return error_of(pulse);
    }
    worker->pulse = std::make_shared<process::PulsePage>(std::move(*pulse));
    const auto log = process::LogFile(worker->log_path, how.log_bytes_max).open();
    if (!log) {
        return error_of(log);
    }
    worker->log_from = size_of(*log);
    process::Command command = command_for(order, *worker);
    command.inherit = {
        {.parent_fd = listener->fd.get(), .child_fd = child_listen_fd},
        {.parent_fd = lifeline->child_end(), .child_fd = child_lifeline_fd},
        {.parent_fd = token_end->get(), .child_fd = child_token_fd},
        {.parent_fd = worker->pulse->fd(), .child_fd = worker_pulse_fd},
    };
    command.log_fd = log->get();
    auto process = with_.launcher.start(command);
    if (!process) {
        Error error = process.error().within("cannot start the worker program");
        error.code = Errc::internal;
        error.wire_code = "WORKER_FAILED";
        return std::unexpected(std::move(error));
    }
    worker->pulse->close_fd();
    lifeline->close_child_end();
    worker->lifeline.emplace(std::move(*lifeline));
    worker->process = std::move(*process);
    return worker;
}

Result<api::WorkerInfo> Supervisor::spawn(const Order& order) {
    drop_old_orders();
    return start(order, "worker-" + make_uuid());
}

Result<api::WorkerInfo> Supervisor::respawn(std::string_view id) {
    const WorkerRegistry::Entry* entry = with_.registry.find(id);
    const Order* order = order_of(id);
    if (entry == nullptr || order == nullptr) {
        return fail(Errc::not_found, "there is no such worker on this hive", "WORKER_NOT_FOUND");
    }
    if (running_.contains(id)) {
        return fail(Errc::conflict, fmt::format("worker {} has its process still", id));
    }
    return start(Order(*order), std::string(id));
}

Result<api::WorkerInfo> Supervisor::start(const Order& order, std::string id) {
    if (stopping_) {
        return fail(Errc::unavailable, "the hive is shutting down");
    }
    auto launched = launch(order, std::move(id));
    if (!launched) {
        return error_of(launched);
    }
    const RunningPtr worker = std::move(*launched);
    worker->started = with_.timers.clock().now();
    api::WorkerInfo info;
    info.id = worker->id;
    info.url = worker->url;
    info.model_ref = order.model.ref.to_string();
    info.model = order.model.name;
    info.backend = order.backend;
    info.device = order.device;
    info.slots_total = order.slots;
    info.pid = worker->process->pid();
    with_.metrics.spawned();
    with_.log.with_correlation(order.correlation_id)
        .info(
            "worker_started",
            "worker started",
            {{"worker_id", info.id},
             {"pid", *info.pid},
             {"model", info.model},
             {"backend", info.backend},
             {"device", info.device},
             {"url", info.url}}
        );
    orders_.insert_or_assign(worker->id, order);
    enter(worker, std::move(info));
    const api::WorkerInfo& entered = with_.registry.find(worker->id)->info;
    for (const auto& observer : start_observers_) {
        observer(entered, order);
    }
    return entered;
}

void Supervisor::enter(const RunningPtr& worker, api::WorkerInfo info) {
    running_.emplace(worker->id, worker);
    if (!worker->token->empty()) { // one that had ended before this hive began has none
        with_.tokens.grant(worker_token_name(worker->id), *worker->token, {auth::Scope::worker});
    }
    with_.registry.started(std::move(info));
    worker->generation = with_.registry.find(worker->id)->generation;
    watch_death(worker);
    tasks_.start(watch(worker), "watch");
    tasks_.start(watch_load(worker), "watch_load");
}

Result<void> Supervisor::adopt(Adopted adopted) {
    if (stopping_) {
        return fail(Errc::unavailable, "the hive is shutting down");
    }
    if (with_.registry.find(adopted.info.id) != nullptr) {
        return fail(Errc::conflict, fmt::format("there is a worker {} already", adopted.info.id));
    }
    auto worker = std::make_shared<Running>(with_.timers);
    worker->id = adopted.info.id;
    worker->url = adopted.info.url;
    worker->token = std::make_shared<const Secret>(std::move(adopted.token));
    worker->log_path = log_path_of(with_.settings.worker.log_dir, worker->id);
    worker->need_bytes = required_bytes(adopted.order.model.size_bytes);
    worker->process = std::move(adopted.process);
    worker->pulse = std::move(adopted.pulse);
    worker->started = with_.timers.clock().now();
    const std::uint32_t slots = adopted.info.slots_total;
    adopted.info.pid = worker->process->pid();
    orders_.insert_or_assign(worker->id, std::move(adopted.order));
    enter(worker, std::move(adopted.info));
    if (!adopted.ready) {
        return {};
    }
    auto done = with_.registry.became_ready(worker->id, slots);
    now_ready(*worker);
    return done;
}

void Supervisor::allow_survival(std::string_view id, std::int64_t pid) {
    const RunningPtr worker = find(id);
    const bool here = worker && worker->lifeline && worker->process->pid() == pid;
    if (here && !std::exchange(worker->may_survive, true)) {
        worker->may_survive = worker->lifeline->allow_survival();
    }
}

void Supervisor::watch_death(const RunningPtr& worker) {
    if (deaths_seen_by_ == nullptr || !worker->pulse) {
        return;
    }
    auto watched = deaths_seen_by_->watch(
        worker->pulse,
        [this, id = worker->id, pid = worker->process->pid()] { note_dying(id, pid); }
    );
    if (!watched) {
        with_.log.warn(
            "death_watch_failed",
            "the death of a worker will be noticed late",
            {{"worker_id", worker->id}, {"cause", watched.error().what}}
        );
        return;
    }
    worker->death_watch = std::move(*watched);
}

std::optional<process::Pulse> Supervisor::pulse_of(std::string_view id) const {
    const RunningPtr worker = find(id);
    return worker && worker->pulse ? std::optional(worker->pulse->read()) : std::nullopt;
}

const Supervisor::Order* Supervisor::order_of(std::string_view id) const {
    const auto found = orders_.find(id);
    return found == orders_.end() ? nullptr : &found->second;
}

void Supervisor::for_each_slot(const std::function<void(const Slot&)>& each) const {
    for (const auto& [id, entry] : with_.registry.entries()) {
        if (const Order* order = order_of(id)) {
            const RunningPtr worker = find(id);
            each({entry.info, *order, worker ? worker->token.get() : nullptr});
        }
    }
}

void Supervisor::drop_old_orders() {
    std::erase_if(orders_, [this](const auto& item) {
        return with_.registry.find(item.first) == nullptr && !running_.contains(item.first);
    });
}

} // namespace rbee::hive
