#pragma once

#include "rbee/api/types.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/hive/active_requests.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::hive {

/// The workers of one hive: what is told about them and which requests they hold. Pure state with
/// named transitions (domain::WorkerState shows them); no I/O. Belongs to one loop; must outlive
/// its leases.
class WorkerRegistry {
public:
    struct Limits {
        std::size_t ended_max = 20; ///< Ended workers that stay visible.
        Duration ended_kept = std::chrono::minutes(5);
        std::uint32_t health_failures_max = 3; ///< In a row, then unhealthy.
    };

    struct Entry {
        api::WorkerInfo info;
        std::uint32_t in_flight = 0;
        ActiveRequests requests; ///< Those that its leases track.
        TimePoint started;
        TimePoint progressed;         ///< Last sign that loading goes on.
        bool called_back = false;     ///< The worker has reported at least once.
        bool ready = false;           ///< This process has been ready to serve.
        bool misconfigured = false;   ///< It refuses the hive's token; nothing cures that.
        std::string stop_reason;      ///< Why it was asked to stop; empty when it was not.
        bool returns = false;         ///< Asked to stop only to be started again.
        std::uint64_t generation = 1; ///< Of its process: 1 for the first, one more with each end.
        std::optional<TimePoint> ended;
        TimePoint active; ///< When it became ready, or last got or finished a request.
        std::optional<Duration> keep_alive; ///< As a request wanted it, see keep().
        [[nodiscard]] bool resting() const { return in_flight == 0 && requests.size() == 0; }
    };

    /// One request at one worker; gives the place back when it goes.
    class [[nodiscard]] Lease {
    public:
        Lease() = default;
        Lease(WorkerRegistry& registry, const Entry& entry, bool slot)
            : registry_(&registry), id_(entry.info.id), generation_(entry.generation), slot_(slot) {
        }
        Lease(Lease&& other) noexcept
            : registry_(std::exchange(other.registry_, nullptr)), id_(std::move(other.id_)),
              generation_(other.generation_), slot_(other.slot_),
              tracked_(std::exchange(other.tracked_, std::nullopt)) {}
        Lease& operator=(Lease&& other) noexcept;
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        ~Lease() { reset(); }
        /// Shows the request, which has `left` until its deadline, at its worker. Once.
        void track(std::string request_id, Duration left);
        /// Which process of the worker it is with; see Entry::generation.
        [[nodiscard]] std::uint64_t generation() const { return generation_; }
        void reset();

    private:
        friend class WorkerRegistry;
        WorkerRegistry* registry_ = nullptr;
        std::string id_;
        std::uint64_t generation_ = 0;
        bool slot_ = false;
        std::optional<ActiveRequests::Key> tracked_;
    };

    WorkerRegistry(const Clock& clock, Limits limits) : clock_(clock), limits_(limits) {}
    explicit WorkerRegistry(const Clock& clock) : WorkerRegistry(clock, Limits{}) {}
    WorkerRegistry(const WorkerRegistry&) = delete;
    WorkerRegistry& operator=(const WorkerRegistry&) = delete;

    /// Hears of every change that others should learn soon. At most one observer.
    void on_change(std::function<void()> observer) { observer_ = std::move(observer); }
    /// Hears of each worker that has no request any more. At most one observer.
    void on_rest(std::function<void(const Entry&)> observer) {
        rest_observer_ = std::move(observer);
    }

    /// A process was started for `info`; it is loading from now on. An id that is there already is
    /// a worker that comes back: it must have no process, and its restarts are counted.
    void started(api::WorkerInfo info);
    /// The worker has bound its socket and loads. Every transition below fails with
    /// Errc::not_found (WORKER_NOT_FOUND) for an unknown id and Errc::conflict when the worker's
    /// state does not allow it.
    [[nodiscard]] Result<void> called_back(std::string_view id);
    /// Loading goes on; `fraction` is 0 ... 1. Quiet: observers are not told.
    [[nodiscard]] Result<void> load_progressed(std::string_view id, double fraction);
    /// The model is loaded; `slots_total` 0 keeps what was assumed.
    [[nodiscard]] Result<void> became_ready(std::string_view id, std::uint32_t slots_total);
    /// The worker says that it cannot load; its process will end.
    [[nodiscard]] Result<void> load_failed(std::string_view id, std::string reason);
    /// It was asked to stop and takes no new requests.
    [[nodiscard]] Result<void> stop_requested(std::string_view id, std::string reason);
    /// As stop_requested(), but when its process has gone it goes on to `backoff` instead of away.
    [[nodiscard]] Result<void> restart_requested(std::string_view id, std::string reason);
    /// The kernel takes its process apart: it gets no more requests, and exited() will follow.
    [[nodiscard]] Result<void> dying(std::string_view id, std::string reason);
    /// The process has gone, and its requests with it: failed when it never became ready, crashed
    /// when nobody asked for it, backoff after restart_requested(). A worker that was asked to stop
    /// is removed. Returns the state it ended in.
    [[nodiscard]] Result<domain::WorkerState> exited(std::string_view id, const std::string& how);
    /// The line that lists show of the last end of its process, once there is more to say than
    /// exited() was told. Quiet: observers are not told.
    [[nodiscard]] Result<void> describe_exit(std::string_view id, std::string line);
    /// A worker without a process will be started again at `next`.
    [[nodiscard]] Result<void> back_off(std::string_view id, std::string reason, WallTime next);
    /// A worker without a process will not be started again: `state` is crashed or failed.
    [[nodiscard]] Result<void>
    give_up(std::string_view id, domain::WorkerState state, std::string reason);
    /// It has been up for long enough: its restarts are forgotten.
    [[nodiscard]] Result<void> restarts_forgiven(std::string_view id);
    /// Forgets a worker without a process.
    [[nodiscard]] Result<void> remove(std::string_view id);
    [[nodiscard]] Result<void> heartbeat(std::string_view id);
    /// One health check answered. `memory_bytes` 0 leaves the old value.
    [[nodiscard]] Result<void> health_passed(std::string_view id, std::uint64_t memory_bytes);
    /// One health check failed; the third in a row makes the worker unhealthy.
    [[nodiscard]] Result<std::uint32_t> health_failed(std::string_view id, const std::string& why);

    /// It does not accept the token that it was given: unhealthy for as long as it lives.
    [[nodiscard]] Result<void> misconfigured(std::string_view id);

    /// Counts a request at a routable worker. With `slot` it takes a slot and fails with Errc::busy
    /// (ALL_SLOTS_BUSY) when there is none; without, it is only counted as activity.
    /// A worker that is not routable: Errc::unavailable, WORKER_NOT_READY.
    [[nodiscard]] Result<Lease> take(std::string_view id, bool slot);

    /// A request wants its worker to be kept so long after its last request, until another request
    /// wants something else; domain::keep_for_ever is possible.
    void keep(std::string_view id, Duration keep_alive);

    /// Forgets workers that ended long ago, or that too many ended after.
    void prune();

    [[nodiscard]] const Entry* find(std::string_view id) const;
    /// Oldest first.
    [[nodiscard]] std::vector<api::WorkerInfo> list() const;
    /// Workers whose process is there.
    [[nodiscard]] std::size_t alive_count() const;
    [[nodiscard]] const std::map<std::string, Entry, std::less<>>& entries() const {
        return entries_;
    }

private:
    static void show_requests(Entry& entry);
    [[nodiscard]] static std::unexpected<Error>
    wrong_state(const api::WorkerInfo& info, std::string_view what);
    [[nodiscard]] Result<Entry*> require(std::string_view id);
    void give_back(const Lease& lease);
    void settle(Entry& entry);
    void settle_and_tell(Entry& entry);
    void end(Entry& entry, domain::WorkerState state, std::string reason);
    /// An entry that has no process now. Errc::conflict when it has one.
    [[nodiscard]] Result<Entry*> require_gone(std::string_view id);
    void changed() const;

    const Clock& clock_;
    Limits limits_;
    std::function<void()> observer_;
    std::function<void(const Entry&)> rest_observer_;
    std::map<std::string, Entry, std::less<>> entries_;
};

} // namespace rbee::hive
