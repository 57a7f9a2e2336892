#pragma once

#include "rbee/api/client.hpp"
#include "rbee/api/types.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/base/result.hpp"
#include "rbee/hive/hive_metrics.hpp"
#include "rbee/hive/launcher.hpp"
#include "rbee/hive/model_provider.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/http/client.hpp"
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

namespace rbee::hive {

/// Name of the token that a worker reports with.
[[nodiscard]] std::string worker_token_name(std::string_view worker_id);

/// What a client is told when a worker refuses the hive's token: 502.
[[nodiscard]] Error worker_misconfigured(std::string_view worker_id);

/// Owns the worker processes: starts them, watches them load, stops them, and tells the registry
/// and one observer how each ended. Restarts nothing. Belongs to one loop; stop_all() before it
/// goes.
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
        std::string correlation_id; ///< Of the request that asked, for the log.
    };

    /// How a process ended, for whoever decides what comes next.
    struct ExitReport {
        api::WorkerInfo worker; ///< As it was last.
        domain::WorkerState state = domain::WorkerState::stopped;
        std::string how;
        bool requested = false;
    };

    explicit Supervisor(Dependencies dependencies);

    /// Where workers report to; known once the hive listens.
    void set_hive_url(std::string url) { hive_url_ = std::move(url); }
    void on_exit(std::function<void(const ExitReport&)> observer) {
        observer_ = std::move(observer);
    }

    /// Starts a worker and registers it as loading. Fails with NO_FREE_PORT or WORKER_FAILED.
    [[nodiscard]] Result<api::WorkerInfo> spawn(const Order& order);
    /// Returns as soon as the worker has reported or ended, at `limit` at the latest. An end is
    /// Errc::internal with WORKER_FAILED and the reason.
    [[nodiscard]] boost::asio::awaitable<Result<void>> settled(std::string id, Duration limit);

    /// A worker reports: bound, ready or failed.
    [[nodiscard]] Result<void> report(const api::ReadyNotice& notice);

    /// Stops a worker (behaviour.md 4.6) and returns when its process has gone, at once when there
    /// is none. Fails with Errc::timeout when even SIGKILL does not end it.
    [[nodiscard]] boost::asio::awaitable<Result<void>> stop(std::string id, std::string reason);
    /// The same for all at once; returns when the last has gone. New ones are refused from then on.
    [[nodiscard]] boost::asio::awaitable<void> stop_all(std::string reason);
    /// Kills all that is left, now.
    void hurry();
    /// Joins the background work; when stop_all() has returned.
    [[nodiscard]] boost::asio::awaitable<void> join() { return tasks_.stop(); }

    /// How the process of a worker ended, waiting at most `limit` for it; nothing when it runs.
    [[nodiscard]] boost::asio::awaitable<std::optional<std::string>>
    explain_death(std::string id, Duration limit);

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
    [[nodiscard]] Result<RunningPtr> launch(const Order& order);
    [[nodiscard]] boost::asio::awaitable<void> watch(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<void> watch_load(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<void> follow_progress(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<void> run_stop(RunningPtr worker, std::string reason);
    [[nodiscard]] boost::asio::awaitable<bool> ask_to_stop(RunningPtr worker);
    [[nodiscard]] boost::asio::awaitable<bool> gone_before(RunningPtr worker, TimePoint due);
    void begin_stop(const RunningPtr& worker, const std::string& reason);
    void ended(const RunningPtr& worker, process::ExitStatus status);
    void kill(Running& worker, const std::string& reason);
    [[nodiscard]] RunningPtr find(std::string_view id) const;

    Dependencies with_;
    std::string hive_url_;
    std::function<void(const ExitReport&)> observer_;
    std::map<std::string, RunningPtr, std::less<>> running_;
    std::deque<std::pair<std::string, std::string>> deaths_; ///< Id and cause, newest last.
    bool stopping_ = false;
    bool hurried_ = false;
    runtime::Notifier progress_; ///< A process ended or a worker reported.
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
