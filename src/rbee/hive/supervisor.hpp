#pragma once

#include "rbee/api/client.hpp"
#include "rbee/api/types.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/base/result.hpp"
#include "rbee/domain/exit_kind.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/launcher.hpp"
#include "rbee/hive/model_provider.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/http/client.hpp"
#include "rbee/process/death_watch.hpp"
#include "rbee/process/pulse.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::hive {

/// Name of the token that a worker reports with.
[[nodiscard]] std::string worker_token_name(std::string_view worker_id);

/// What a client is told when a worker refuses the hive's token: 502.
[[nodiscard]] Error worker_misconfigured(std::string_view worker_id);

/// Owns the worker processes: starts them, watches them load, stops them, and tells the registry
/// and its observers how each ended. A worker is a slot that lives over restarts: same id, new
/// process. When to restart is not decided here, see Restarter. Belongs to one loop; stop_all()
/// before it goes.
class Supervisor {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        HiveMetrics& metrics;
        WorkerRegistry& registry;
        Launcher& launcher;
        http::Client& client;
        const Settings& settings;
        auth::Authenticator& tokens; ///< Learns the token of each worker, and forgets it.
    };

    /// What to start; checked before.
    struct Order {
        Model model;
        std::string backend;
        std::uint32_t device = 0;
        std::uint32_t slots = 1;
        std::vector<std::string> engine_args;
        std::string correlation_id;      ///< Of the request that asked, for the log.
        std::string actor = {};          ///< Who asked, such as "token:1a2b3c"; empty: the program.
        std::vector<unsigned> cpus = {}; ///< Processors it is bound to; empty: all.
        /// Of what it is started from. The same would fail again if it failed for what it is.
        std::string fingerprint = {};
    };

    /// How a process ended, for whoever decides what comes next.
    struct ExitReport {
        api::WorkerInfo worker; ///< As it was last, with its pid.
        /// As the registry has it now. `backoff` after stop_for_restart().
        domain::WorkerState state = domain::WorkerState::stopped;
        domain::ExitKind kind = domain::ExitKind::asked_for;
        process::ExitStatus status;
        std::string how;              ///< One line for people.
        bool requested = false;       ///< The hive asked for it.
        bool stalled = false;         ///< The hive ended it because it did not get on.
        bool forced = false;          ///< The hive used SIGKILL.
        std::string oom_evidence;     ///< Empty when it was not the lack of memory.
        std::uint64_t generation = 0; ///< Of the process, see WorkerRegistry::Entry.
        TimePoint started;
        std::optional<TimePoint> ready;    ///< Since when it served.
        std::optional<TimePoint> dying;    ///< When its death was noticed, if before `died`.
        TimePoint died;                    ///< When the process had gone.
        std::vector<std::string> requests; ///< Ids of those it worked for.
        std::string log_path;
        std::uint64_t log_from = 0;          ///< Where in its log this process began.
        std::optional<process::Pulse> pulse; ///< Its last signs of life, when it had a page.
    };

    /// A worker process that was there before this hive was.
    struct Adopted {
        Order order;
        api::WorkerInfo info; ///< With id, url, pid, slots and restart_count.
        Secret token;
        std::unique_ptr<WorkerProcess> process;
        bool ready = false;                        ///< It serves already; else it loads.
        std::shared_ptr<process::PulsePage> pulse; ///< Null when its page cannot be had.
    };

    /// One worker as a successor of this hive needs it. Valid during the call only.
    struct Slot {
        const api::WorkerInfo& info;
        const Order& order;
        const Secret* token; ///< Null while it has no process.
    };

    explicit Supervisor(Dependencies dependencies);

    /// Where workers report to; known once the hive listens.
    void set_hive_url(std::string url) { hive_url_ = std::move(url); }
    [[nodiscard]] const std::string& hive_url() const { return hive_url_; }
    /// Hears of each process that was started, with its worker as the registry has it.
    void on_start(std::function<void(const api::WorkerInfo&, const Order&)> observer) {
        start_observers_.push_back(std::move(observer));
    }
    /// Observers are called in the order in which they came. None may stop or start workers of
    /// this supervisor inside the call, except by respawn().
    void on_exit(std::function<void(const ExitReport&)> observer) {
        exit_observers_.push_back(std::move(observer));
    }
    /// Hears the id of a worker whose process the kernel has begun to take apart.
    void on_dying(std::function<void(const std::string& id)> observer) {
        dying_observers_.push_back(std::move(observer));
    }
    /// Hears the id of a worker that serves from now on, after a load or an adoption.
    void on_ready(std::function<void(const std::string& id)> observer) {
        ready_observers_.push_back(std::move(observer));
    }
    /// Deaths are noticed by `watch`, which must outlive this, before the kernel has freed the
    /// memory of the process; without it, when it has.
    void set_death_watch(process::DeathWatch& watch) { deaths_seen_by_ = &watch; }
    /// Asked at each unrequested end: what shows that the lack of memory was the cause; empty when
    /// nothing does.
    void set_oom_probe(std::function<std::string(const ExitReport&)> probe) {
        oom_probe_ = std::move(probe);
    }

    /// Starts a worker and registers it as loading. Fails with NO_FREE_PORT or WORKER_FAILED.
    [[nodiscard]] Result<api::WorkerInfo> spawn(const Order& order);
    /// Starts the process of a worker again whose process has gone, by the same order and under the
    /// same id. Fails as spawn() does, with WORKER_NOT_FOUND for a worker that is not there any
    /// more and with Errc::conflict while its process is.
    [[nodiscard]] Result<api::WorkerInfo> respawn(std::string_view id);
    /// Takes over a process. Errc::conflict when there is a worker of this id.
    [[nodiscard]] Result<void> adopt(Adopted adopted);
    /// The process `pid` of a worker may go on for a while should this hive die: the next one will
    /// find it. Told once; ignored for a process that is not the worker's (any more).
    void allow_survival(std::string_view id, std::int64_t pid);
    /// What a worker was started by; null for one that is not there.
    [[nodiscard]] const Order* order_of(std::string_view id) const;
    /// Calls `each` for every worker that is there, with or without a process.
    void for_each_slot(const std::function<void(const Slot&)>& each) const;
    /// The kernel has begun to take the process `pid` of a worker apart: nothing goes there any
    /// more. Ignored for a process that is not the worker's (any more).
    void note_dying(std::string_view id, std::int64_t pid);
    /// The signs of life of a worker's process; nothing when it has none or no page.
    [[nodiscard]] std::optional<process::Pulse> pulse_of(std::string_view id) const;
    /// A worker that does not get on is aborted, so that it leaves a core, and killed after 5 s.
    /// `still` is how long it has not; zero when it is aborted for another reason.
    void abort_stalled(std::string_view id, const std::string& reason, Duration still = {});
    /// Returns as soon as the worker has reported or ended, at `limit` at the latest. An end is
    /// Errc::internal with WORKER_FAILED and the reason.
    [[nodiscard]] boost::asio::awaitable<Result<void>> settled(std::string id, Duration limit);

    /// Returns when the worker is ready, true, or its process has gone.
    [[nodiscard]] boost::asio::awaitable<bool> ready_or_gone(std::string id);

    /// A worker reports: bound, ready or failed.
    [[nodiscard]] Result<void> report(const api::ReadyNotice& notice);

    /// Stops a worker (behaviour.md 4.6) and returns when its process has gone, at once when there
    /// is none: then a restart that was due is off. Fails with Errc::timeout when even SIGKILL does
    /// not end it.
    [[nodiscard]] boost::asio::awaitable<Result<void>> stop(std::string id, std::string reason);
    /// Stops its process in the same way but keeps the worker, which is in `backoff` then.
    [[nodiscard]] boost::asio::awaitable<Result<void>>
    stop_for_restart(std::string id, std::string reason);
    /// The same for all at once; returns when the last has gone. New ones are refused from then on.
    [[nodiscard]] boost::asio::awaitable<void> stop_all(std::string reason);
    /// Kills all that is left, now.
    void hurry();
    /// Joins the background work; when stop_all() has returned.
    [[nodiscard]] boost::asio::awaitable<void> join() { return tasks_.stop(); }

    /// How a process of a worker ended, waiting at most `limit` for it; nothing when it runs.
    /// `generation` tells which one, see WorkerRegistry::Entry.
    [[nodiscard]] boost::asio::awaitable<std::optional<std::string>>
    explain_death(std::string id, std::uint64_t generation, Duration limit);

    [[nodiscard]] bool stopping() const { return stopping_; }
    [[nodiscard]] std::size_t running() const { return running_.size(); }
    /// Memory that loading workers will take but have not yet.
    [[nodiscard]] std::uint64_t pending_bytes() const;
    /// Client for calls to one worker, with its token. For a worker that has gone it has none, and
    /// nobody answers it.
    [[nodiscard]] api::ApiClient client_for(std::string_view id);
    /// A worker answered 401 to its own token: it gets no requests from now on.
    void note_refusal(std::string_view id);

private:
    struct Running;
    using RunningPtr = std::shared_ptr<Running>;

    /// Program, arguments and environment of a worker.
    [[nodiscard]] process::Command command_for(const Order& order, const Running& worker) const;
    [[nodiscard]] Result<RunningPtr> launch(const Order& order, std::string id);
    /// Starts the process of `id`, registers and watches it.
    [[nodiscard]] Result<api::WorkerInfo> start(const Order& order, std::string id);
    void enter(const RunningPtr& worker, api::WorkerInfo info);
    void now_ready(Running& worker);
    void watch_death(const RunningPtr& worker);
    /// Its program has its pulse page: whether it gets on is seen there (StallWatch).
    [[nodiscard]] static bool shows_signs(const Running& worker);
    void drop_old_orders();
    [[nodiscard]] ExitReport report_of(const Running& worker, process::ExitStatus status) const;
    void tell_exit(const ExitReport& report);
    [[nodiscard]] boost::asio::awaitable<void> kill_after_abort(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<void> watch(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<void> watch_load(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<void> follow_progress(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<void> run_stop(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<Result<void>> await_end(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<bool> ask_to_stop(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<bool> gone_before(RunningPtr worker, TimePoint due);
    void begin_stop(const RunningPtr& worker);
    void ended(const RunningPtr& worker, process::ExitStatus status);
    void kill(Running& worker, const std::string& reason);
    [[nodiscard]] RunningPtr find(std::string_view id) const;

    Dependencies with_;
    std::string hive_url_;
    std::vector<std::function<void(const api::WorkerInfo&, const Order&)>> start_observers_;
    std::vector<std::function<void(const ExitReport&)>> exit_observers_;
    std::vector<std::function<void(const std::string&)>> dying_observers_;
    std::vector<std::function<void(const std::string&)>> ready_observers_;
    std::function<std::string(const ExitReport&)> oom_probe_;
    process::DeathWatch* deaths_seen_by_ = nullptr;
    std::map<std::string, RunningPtr, std::less<>> running_;
    std::map<std::string, Order, std::less<>> orders_; ///< Of all workers that are known.
    struct Death {
        std::string id;
        std::uint64_t generation = 0;
        std::string how;
    };
    std::deque<Death> deaths_; ///< Newest last.
    bool stopping_ = false;
    bool hurried_ = false;
    runtime::Notifier progress_; ///< A process ended or a worker reported.
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
