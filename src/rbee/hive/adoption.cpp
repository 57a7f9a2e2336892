#include "rbee/hive/adoption.hpp"

#include "rbee/api/json.hpp"
#include "rbee/hive/worker_command.hpp"
#include "rbee/process/adopted.hpp"
#include "rbee/process/pulse.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;
using domain::WorkerState;

namespace {

/// Requests change workers all the time; the list is looked at no more often than this.
constexpr Duration look_period = std::chrono::milliseconds(20);
/// After a write that failed.
constexpr Duration retry_period = std::chrono::seconds(5);
constexpr Duration greet_limit = std::chrono::seconds(5);
constexpr Duration greet_period = std::chrono::seconds(1);

/// A worker of a former hive.
class AdoptedWorker final : public WorkerProcess {
public:
    explicit AdoptedWorker(std::unique_ptr<process::AdoptedProcess> process)
        : process_(std::move(process)) {}
    [[nodiscard]] std::int64_t pid() const override { return process_->pid(); }
    void send(int signal) override { process_->send(signal); }
    asio::awaitable<process::ExitStatus> wait() override { return process_->wait(); }

private:
    std::unique_ptr<process::AdoptedProcess> process_;
};

/// One that ended while there was no hive.
class GoneWorker final : public WorkerProcess {
public:
    GoneWorker(asio::any_io_executor executor, std::int64_t pid)
        : executor_(std::move(executor)), pid_(pid) {}
    [[nodiscard]] std::int64_t pid() const override { return pid_; }
    void send(int /*signal*/) override {}
    asio::awaitable<process::ExitStatus> wait() override { return end(executor_); }

private:
    /// Later than the call, as with any other process.
    static asio::awaitable<process::ExitStatus> end(asio::any_io_executor executor) {
        co_await asio::post(executor, asio::use_awaitable);
        co_return process::ExitStatus{};
    }
    asio::any_io_executor executor_;
    std::int64_t pid_;
};

std::shared_ptr<process::PulsePage> page_of(const SlotRecord& slot, const telemetry::Logger& log) {
    const auto pid = static_cast<pid_t>(slot.info.pid.value_or(0));
    auto page = process::PulsePage::of_process(pid, worker_pulse_fd, slot.info.id);
    if (!page) {
        log.warn(
            "pulse_lost",
            "the signs of life of an adopted worker cannot be seen",
            {{"worker_id", slot.info.id}, {"cause", page.error().what}}
        );
        return nullptr;
    }
    page->close_fd();
    return std::make_shared<process::PulsePage>(std::move(*page));
}

Supervisor::Order order_of(SlotRecord& slot) {
    Supervisor::Order order;
    order.model = std::move(slot.model);
    order.backend = slot.info.backend;
    order.device = slot.info.device;
    order.slots = slot.info.slots_total;
    order.engine_args = std::move(slot.engine_args);
    order.cpus = std::move(slot.cpus);
    return order;
}

/// What the next hive has to know of.
bool lasts(WorkerState state) {
    return domain::alive(state) || state == WorkerState::backoff;
}

} // namespace

Adoption::Adoption(Dependencies dependencies)
    : with_(dependencies), boot_id_(process::boot_id()), wake_(dependencies.timers),
      tasks_(dependencies.timers.executor(), telemetry::log_task_failures(dependencies.log)) {}

void Adoption::take_over() {
    begun_ = with_.timers.clock().now();
    if (with_.settings.adoption.state_dir.empty()) {
        return;
    }
    auto file = WorkerStateFile::open(with_.settings.adoption.state_dir);
    if (!file) {
        with_.log.warn(
            "adoption_off", "workers will not outlive this hive", {{"cause", file.error().what}}
        );
        return;
    }
    file_ = std::move(*file);
    auto slots = file_->read(boot_id_);
    if (!slots) {
        with_.log.error(
            "worker_list_lost",
            "the list of workers cannot be read; those of a former hive end by themselves",
            {{"cause", slots.error().what}}
        );
        return;
    }
    for (SlotRecord& slot : *slots) {
        take(std::move(slot));
    }
    ungreeted_ = left_.size();
}

void Adoption::take(SlotRecord record) {
    const std::string id = record.info.id;
    const WorkerState state = record.info.state;
    const std::int64_t pid = record.info.pid.value_or(0);
    std::unique_ptr<process::AdoptedProcess> process;
    if (pid != 0) {
        auto found = process::AdoptedProcess::open(
            with_.timers.executor(), static_cast<pid_t>(pid), record.start_ticks
        );
        process = found ? std::move(*found) : nullptr;
    }
    if (!with_.settings.adoption.adopt) {
        if (process) {
            with_.log.warn(
                "worker_force_killed",
                "worker force-killed",
                {{"worker_id", id},
                 {"pid", pid},
                 {"reason", "a former hive left it"},
                 {"signal", "SIGKILL"}}
            );
            process->send(SIGKILL);
        }
        return;
    }
    if (!process && state == WorkerState::draining) {
        return; // it ended as it was told to
    }
    Supervisor::Adopted adopted;
    adopted.pulse = process ? page_of(record, with_.log) : nullptr;
    adopted.order = order_of(record);
    adopted.token = std::move(record.token);
    adopted.ready = state != WorkerState::loading;
    adopted.info = std::move(record.info);
    if (process) {
        ticks_[pid] = record.start_ticks;
        left_.push_back({id, pid, state == WorkerState::draining});
        adopted.process = std::make_unique<AdoptedWorker>(std::move(process));
    } else {
        adopted.process = std::make_unique<GoneWorker>(with_.timers.executor(), pid);
    }
    if (const auto done = with_.supervisor.adopt(std::move(adopted)); !done) {
        with_.log.error("adoption_failed", done.error().what, {{"worker_id", id}, {"pid", pid}});
    }
}

void Adoption::start() {
    if (!file_) {
        return;
    }
    running_ = true;
    tasks_.start(keep(), "worker list");
    for (const Left& worker : left_) {
        tasks_.start(greet(worker), "greet");
    }
}

bool Adoption::still_there(const Left& worker) const {
    const WorkerRegistry::Entry* entry = with_.registry.find(worker.id);
    return entry != nullptr && entry->info.pid == worker.pid;
}

asio::awaitable<void> Adoption::greet(Left worker) {
    const TimePoint due = with_.timers.clock().now() + with_.settings.adoption.lease;
    while (!worker.stopping) {
        const bool settled = co_await greet_once(worker);
        if (settled) {
            break;
        }
        if (with_.timers.clock().now() >= due) {
            with_.supervisor.abort_stalled(worker.id, "it does not answer its new hive");
            break;
        }
        co_await with_.timers.sleep_for(greet_period);
    }
    if (--ungreeted_ == 0) {
        const std::chrono::duration<double> took = with_.timers.clock().now() - begun_;
        with_.log.info(
            "workers_adopted",
            "the workers of a former hive are taken over",
            {{"workers", left_.size()}, {"seconds", took.count()}}
        );
    }
    if (worker.stopping && still_there(worker)) {
        const auto stopped = co_await with_.supervisor.stop(worker.id, "a former hive wanted it");
        (void)stopped; // told by the supervisor
    }
}

asio::awaitable<bool> Adoption::greet_once(const Left& worker) {
    const auto self = process::start_ticks_of(::getpid());
    api::ApiClient client = with_.supervisor.client_for(worker.id);
    http::CallOptions options;
    options.connect_limit = greet_limit;
    options.head_limit = greet_limit;
    options.body_limit = greet_limit;
    api::ApiClient::Request request{.method = "POST", .target = "/v1/admin/hive"};
    request.body = boost::json::object{
        {"hive_url", with_.supervisor.hive_url()},
        {"hive_pid", ::getpid()},
        {"hive_start_ticks", self.value_or(0)},
    };
    const auto answer = co_await client.call(std::move(request), options);
    if (!still_there(worker)) {
        co_return true;
    }
    if (!answer) {
        with_.log.warn(
            "adoption_refused",
            "a worker of a former hive does not accept this one",
            {{"worker_id", worker.id}, {"cause", answer.error().what}}
        );
        co_return false;
    }
    welcome(worker, *answer);
    co_return true;
}

void Adoption::welcome(const Left& worker, const boost::json::object& answer) {
    const auto id = api::get_string(answer, "worker_id");
    const auto pid = api::get_unsigned(answer, "pid");
    const auto ready = api::get_bool(answer, "ready");
    const auto slots = api::get_unsigned(answer, "slots_total");
    const bool same = id && *id == worker.id && pid && *pid == worker.pid;
    if (!same || !ready || !slots) {
        with_.supervisor.abort_stalled(worker.id, "it is not the worker that it should be");
        return;
    }
    const WorkerRegistry::Entry* entry = with_.registry.find(worker.id);
    api::ReadyNotice notice;
    notice.worker_id = worker.id;
    notice.url = entry->info.url;
    notice.state = ready->value_or(false) ? WorkerState::idle : WorkerState::loading;
    notice.slots_total = static_cast<std::uint32_t>(slots->value_or(0));
    const auto reported = with_.supervisor.report(notice);
    (void)reported; // refused by one that is on its way out
    const std::chrono::duration<double> took = with_.timers.clock().now() - begun_;
    with_.log.info(
        "worker_adopted",
        "a worker of a former hive is taken over",
        {{"worker_id", worker.id},
         {"pid", worker.pid},
         {"state", domain::to_string(entry->info.state)},
         {"seconds", took.count()}}
    );
}

void Adoption::changed() {
    dirty_ = true;
    wake_.notify_all();
}

asio::awaitable<void> Adoption::keep() {
    while (true) {
        while (!dirty_) {
            co_await wake_.wait();
        }
        const bool written = co_await write();
        co_await with_.timers.sleep_for(written ? look_period : retry_period);
    }
}

asio::awaitable<bool> Adoption::write() {
    const WorkerStateFile* file = file_ ? &*file_ : nullptr;
    if (file == nullptr) {
        co_return true;
    }
    dirty_ = false;
    const std::vector<SlotRecord> slots = collect();
    auto text = std::make_shared<Secret>(encode_slots(slots, boot_id_));
    if (text->expose() != written_.expose()) {
        const auto done = co_await with_.pool.run([file, text] { return file->write(*text); });
        if (!done) {
            with_.log.error("worker_list_not_kept", done.error().what);
            dirty_ = true;
            co_return false;
        }
        written_ = std::move(*text);
    }
    if (with_.settings.adoption.adopt) {
        for (const SlotRecord& slot : slots) {
            with_.supervisor.allow_survival(slot.info.id, slot.info.pid.value_or(0));
        }
    }
    co_return true;
}

std::vector<SlotRecord> Adoption::collect() {
    std::vector<SlotRecord> out;
    std::map<std::int64_t, std::uint64_t> ticks;
    with_.supervisor.for_each_slot([&](const Supervisor::Slot& slot) {
        if (!lasts(slot.info.state)) {
            return;
        }
        SlotRecord record;
        record.info = slot.info;
        record.model = slot.order.model;
        record.engine_args = slot.order.engine_args;
        record.cpus = slot.order.cpus;
        if (slot.info.pid && slot.token != nullptr) {
            record.token = slot.token->clone();
            record.start_ticks = ticks[*slot.info.pid] = ticks_of(*slot.info.pid);
        }
        out.push_back(std::move(record));
    });
    ticks_ = std::move(ticks);
    return out;
}

std::uint64_t Adoption::ticks_of(std::int64_t pid) {
    const auto known = ticks_.find(pid);
    return known != ticks_.end() ? known->second
                                 : process::start_ticks_of(static_cast<pid_t>(pid)).value_or(0);
}

asio::awaitable<void> Adoption::stop() {
    co_await tasks_.stop();
    if (std::exchange(running_, false)) {
        const bool written = co_await write();
        (void)written; // logged
    }
}

} // namespace rbee::hive
