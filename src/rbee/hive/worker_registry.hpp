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
        TimePoint progressed;       ///< Last sign that loading goes on.
        bool called_back = false;   ///< The worker has reported at least once.
        bool misconfigured = false; ///< It refuses the hive's token; nothing cures that.
        std::string stop_reason;    ///< Why it was asked to stop; empty when it was not.
        std::optional<TimePoint> ended;
    };

    /// One request at one worker; gives the place back when it goes.
    class [[nodiscard]] Lease {
    public:
        Lease() = default;
        Lease(WorkerRegistry& registry, std::string id, bool slot)
            : registry_(&registry), id_(std::move(id)), slot_(slot) {}
        Lease(Lease&& other) noexcept
            : registry_(std::exchange(other.registry_, nullptr)), id_(std::move(other.id_)),
              slot_(other.slot_), tracked_(std::exchange(other.tracked_, std::nullopt)) {}
        Lease& operator=(Lease&& other) noexcept;
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        ~Lease() { reset(); }
        /// Shows the request, which has `left` until its deadline, at its worker. Once.
        void track(std::string request_id, Duration left);
        void reset();

    private:
        friend class WorkerRegistry;
        WorkerRegistry* registry_ = nullptr;
        std::string id_;
        bool slot_ = false;
        std::optional<ActiveRequests::Key> tracked_;
    };

    WorkerRegistry(const Clock& clock, Limits limits) : clock_(clock), limits_(limits) {}
    explicit WorkerRegistry(const Clock& clock) : WorkerRegistry(clock, Limits{}) {}
    WorkerRegistry(const WorkerRegistry&) = delete;
    WorkerRegistry& operator=(const WorkerRegistry&) = delete;

    /// Hears of every change that others should learn soon. At most one observer.
    void on_change(std::function<void()> observer) { observer_ = std::move(observer); }

    /// A process was started for `info`, whose id is new; it is loading from now on.
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
    /// The process has gone: failed when it never became ready, crashed when nobody asked for it.
    /// A worker that was asked to stop is removed. Returns the state it ended in.
    [[nodiscard]] Result<domain::WorkerState> exited(std::string_view id, const std::string& how);
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
    [[nodiscard]] Result<Entry*> require(std::string_view id);
    void give_back(const Lease& lease);
    void settle(Entry& entry);
    void settle_and_tell(Entry& entry);
    void end(Entry& entry, domain::WorkerState state, std::string reason);
    void changed() const;

    const Clock& clock_;
    Limits limits_;
    std::function<void()> observer_;
    std::map<std::string, Entry, std::less<>> entries_;
};

} // namespace rbee::hive
