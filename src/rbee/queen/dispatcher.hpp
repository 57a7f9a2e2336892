#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/base/cancel.hpp"
#include "rbee/base/result.hpp"
#include "rbee/domain/admission.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/hive_client.hpp"
#include "rbee/queen/metrics.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::queen {

/// A slot of a worker, counted in the fleet for as long as this lives, and the call that is made
/// with it. The fleet must outlive it.
class [[nodiscard]] Lease {
public:
    Lease(Fleet& fleet, std::shared_ptr<Worker> worker)
        : fleet_(&fleet), worker_(std::move(worker)), route_(fleet.begin_call(*worker_)) {}
    Lease(Lease&&) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        if (worker_) {
            told(Fleet::Verdict::nothing);
            fleet_->give_back(*worker_);
        }
    }
    [[nodiscard]] Worker& worker() { return *worker_; }
    /// What the call told of its way. A call that went well may break later: that is a call too.
    /// Without a verdict it is said to tell nothing.
    void told(Fleet::Verdict verdict) {
        using enum Fleet::Verdict;
        if (told_ && (verdict == nothing || verdict == good)) {
            return;
        }
        if (told_) {
            route_ = fleet_->begin_call(*worker_);
        }
        told_ = true;
        fleet_->end_call(*worker_, route_, verdict);
    }

private:
    Fleet* fleet_;
    std::shared_ptr<Worker> worker_;
    Fleet::Route route_;
    bool told_ = false;
};

/// What a request asks of the dispatcher, kept over repetitions.
struct Demand {
    domain::Wanted wanted;
    std::string correlation_id;
    CancelSource* cancel = nullptr;                                 ///< Must outlive the wait.
    std::optional<TimePoint> give_up = std::nullopt;                ///< Its deadline, if it runs.
    std::optional<domain::Admission::Waiter> waiter = std::nullopt; ///< Set by acquire().
};

/// Gives slots to requests: lets them wait in line, and has workers started for models that are
/// known but not running. Belongs to the event loop; stop() before the end.
class Dispatcher {
public:
    struct Parts {
        Fleet& fleet;
        HiveClient& hives;
        runtime::Timers& timers;
        const telemetry::Logger& log;
        QueenMetrics& metrics;
        audit::Logger* audit = nullptr; ///< Hears of breakers that open; or none.
    };

    Dispatcher(Parts parts, domain::Admission::Limits limits);
    Dispatcher(const Dispatcher&) = delete;
    Dispatcher& operator=(const Dispatcher&) = delete;
    ~Dispatcher();

    /// Waits for a slot. Called again with the same demand, it keeps its place in the line. Fails
    /// with QUEUE_FULL, NO_IDLE_WORKERS (waited too long), Errc::cancelled, the reason why no
    /// worker can be started, or the reason why the one that was started failed; with
    /// MODEL_UNAVAILABLE when the worker comes back only after the deadline.
    [[nodiscard]] boost::asio::awaitable<Result<Lease>> acquire(std::shared_ptr<Demand> demand);

    /// The worker refused: nothing is sent to it for this long.
    void hold(Worker& worker, Duration time);

    [[nodiscard]] std::size_t waiting() const { return admission_.waiting(); }
    [[nodiscard]] std::size_t capacity() const { return admission_.limits().capacity; }

    /// Other limits of the line, for requests to come.
    void set_limits(domain::Admission::Limits limits) { admission_.set_limits(limits); }

    /// Fails everybody who waits, and joins the background work.
    [[nodiscard]] boost::asio::awaitable<void> stop();

private:
    struct Waiting;
    struct Spawn;
    class InLine;

    void pump();
    void look_after(domain::Admission::Ticket ticket);
    void ensure_worker(const domain::Wanted& wanted, const std::string& correlation_id);
    void fail_waiters(const domain::Wanted& wanted, const Error& error);
    void fail_waiter(domain::Admission::Ticket ticket, const Error& error);
    void note_opening(const Fleet::Opening& opening);
    [[nodiscard]] bool place(const domain::Admission::Waiter& waiter);
    [[nodiscard]] Error waited_too_long(const domain::Wanted& wanted) const;
    [[nodiscard]] boost::asio::awaitable<void> run_spawn(std::shared_ptr<Spawn> spawn);
    [[nodiscard]] boost::asio::awaitable<Result<void>> ask_for_worker(std::shared_ptr<Spawn> spawn);
    [[nodiscard]] boost::asio::awaitable<Result<void>> await_ready(std::shared_ptr<Spawn> spawn);
    void finish_spawn(const std::shared_ptr<Spawn>& spawn, const Result<void>& outcome);
    [[nodiscard]] bool other_hive_may(const Spawn& spawn, const Error& error);
    [[nodiscard]] boost::asio::awaitable<void> pump_at(TimePoint due);

    Fleet& fleet_;
    HiveClient& hives_;
    runtime::Timers& timers_;
    telemetry::Logger log_;
    QueenMetrics& metrics_;
    audit::Logger* audit_;
    domain::Admission admission_;
    std::map<domain::Admission::Ticket, Waiting*> waiting_;
    std::list<std::shared_ptr<Spawn>> spawns_;
    runtime::Notifier fleet_changed_;
    std::uint64_t counted_revision_ = 0;
    bool pumping_ = false;
    bool pump_again_ = false;
    bool stopping_ = false;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::queen
