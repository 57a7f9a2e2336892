#pragma once

#include "rbee/api/types.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/domain/placement.hpp"
#include "rbee/domain/route_breaker.hpp"
#include "rbee/http/url.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::queen {

/// A hive as the queen knows it now.
struct Hive {
    std::string name;
    http::Endpoint endpoint;
    bool available = false;
    bool misconfigured = false; ///< It refuses our token: reports do not make it available.
    std::string reason = "not heard of yet"; ///< Why it is not available.
    std::optional<api::HiveReport> report;   ///< The last one.
    TimePoint last_report;
    std::int64_t last_report_unix = 0;
    std::optional<TimePoint> away_since; ///< It stopped answering then.
    domain::RouteBreaker breaker;        ///< Of calls to this hive.
    /// Models that it would not start a worker for, and until when there is no use in asking.
    std::map<std::string, TimePoint> refuses;
};

/// A worker as the queen knows it now: reported by its hive, or registered by itself.
struct Worker {
    api::WorkerInfo info;
    std::string hive;        ///< Name of the hive; empty when nobody said.
    http::Endpoint endpoint; ///< Where its requests are sent: its hive, or the worker itself.
    std::vector<std::string> names;
    std::uint32_t in_flight = 0;                       ///< Requests that the queen has sent to it.
    TimePoint held_until;                              ///< It refused work a moment ago.
    std::optional<domain::WorkerState> state_override; ///< Until its hive reports a change.
    bool gone = false; ///< No longer in the fleet; only running requests still hold it.
    /// In the state backoff: when its hive will start it again; never_said when it did not say.
    TimePoint restart_due = never_said;
    static constexpr TimePoint never_said = TimePoint::min();
    domain::RouteBreaker breaker; ///< Of calls to this process of the worker.

    bool external = false; ///< Registered by POST /v1/workers/register.
    std::string rbee_hive_url;
    std::vector<std::string> capabilities; ///< Such as "cuda:0".
    TimePoint last_seen;
    std::int64_t last_heartbeat_unix = 0;

    [[nodiscard]] domain::WorkerState state() const { return state_override.value_or(info.state); }
};

/// What a worker says of itself when it registers without a hive's report.
struct WorkerRegistration {
    api::WorkerInfo info;
    std::string hive;
    std::string rbee_hive_url;
    std::vector<std::string> capabilities;
    std::vector<std::string> models_loaded;
};

/// A model that some hive could serve.
struct KnownModel {
    api::ModelEntry entry; ///< With the best state of all hives.
    std::vector<std::string> hives;
    std::uint32_t workers = 0; ///< Alive, in any state.
};

/// The live view of hives and workers: in memory only, rebuilt from the hives. Belongs to the event
/// loop. No I/O; time comes from the clock.
class Fleet {
public:
    static constexpr Duration hive_silence_max = std::chrono::seconds(45);
    static constexpr Duration worker_silence_max = std::chrono::seconds(120);
    /// A silent worker that still works for somebody is kept this long.
    static constexpr Duration stale_but_busy_max = std::chrono::minutes(5);
    /// A hive that stops answering is waited for so long: its workers carry on without it.
    static constexpr Duration return_max = std::chrono::seconds(10);
    /// A restart that is due later is one that a circuit breaker holds back: not worth waiting for.
    static constexpr Duration restart_wait_max = std::chrono::seconds(61);

    explicit Fleet(const Clock& clock, Duration silence_max = worker_silence_max)
        : clock_(clock), silence_max_(silence_max) {}

    /// Called after each change that may let a waiting request go on, or end its hope.
    void on_change(std::function<void()> listener) { changed_ = std::move(listener); }
    /// Called with a moment at which, by time alone, a waiting request may go on or end its hope.
    void on_due(std::function<void(TimePoint)> listener) { due_ = std::move(listener); }
    /// A route breaker that has opened.
    struct Opening {
        std::string_view target; ///< "worker" or "hive".
        std::string_view name;   ///< Which one.
        TimePoint until;
    };
    void on_opening(std::function<void(const Opening&)> listener) { opened_ = std::move(listener); }
    /// Where the jitter of route breakers comes from; without it there is none.
    void use_random(std::function<std::uint64_t()> random) { random_ = std::move(random); }

    /// Another time after which workers that registered themselves are removed.
    void set_silence(Duration silence_max) { silence_max_ = silence_max; }

    /// With a private CA: hives reached by https must show the certificate of their name.
    void require_identities() { identities_ = true; }
    void add_hive(const std::string& name, http::Endpoint endpoint);
    /// Forgets a hive and its workers; false when there is none.
    bool remove_hive(const std::string& name);
    /// Takes in a report. The hive must have been added.
    void apply(api::HiveReport report);
    /// The hive does not answer: nothing is sent to it until it reports again.
    void unreachable(const std::string& name, const std::string& reason);
    /// The hive refuses our token: nothing is sent to it until it accepts a call again.
    void misconfigured(const std::string& name);
    /// The hive accepted a call.
    void accepted(const std::string& name);
    [[nodiscard]] const Hive* find_hive(std::string_view name) const;
    [[nodiscard]] const std::map<std::string, Hive, std::less<>>& hives() const { return hives_; }

    /// Adds or refreshes a worker; true when it is new. Fails with Errc::conflict when the id
    /// belongs to another hive or URL.
    [[nodiscard]] Result<bool> register_worker(WorkerRegistration registration);
    [[nodiscard]] Result<void> set_state(const std::string& id, domain::WorkerState state);
    [[nodiscard]] Result<void> heartbeat(const std::string& id);
    bool remove_worker(const std::string& id);
    [[nodiscard]] std::shared_ptr<const Worker> find_worker(const std::string& id) const;
    [[nodiscard]] const std::map<std::string, std::shared_ptr<Worker>>& workers() const {
        return workers_;
    }

    /// Marks silent hives and removes silent workers; returns a line for the log for each.
    [[nodiscard]] std::vector<std::string> sweep();

    /// Chooses a worker with a free slot and counts the request there. Workers and hives whose
    /// breakers are open are left alone, unless there is no other for this request.
    [[nodiscard]] std::shared_ptr<Worker> take(const domain::Wanted& wanted);
    /// Gives back what take() counted; exactly once for each.
    void give_back(Worker& worker);
    /// The worker refused: it gets nothing for this long.
    void hold(Worker& worker, Duration time);
    /// Earliest end of a hold that is still on.
    [[nodiscard]] std::optional<TimePoint> next_release() const;

    /// One call to a worker, for the breakers on its way.
    struct Route {
        domain::RouteBreaker::Pass worker;
        domain::RouteBreaker::Pass hive;
    };
    /// What a call told of its way.
    enum class Verdict {
        good,
        worker_fault, ///< The hive answered, its worker failed.
        hive_fault,   ///< The hive did not answer as it should.
        nothing,      ///< Such as when the client left, or the worker was full.
    };
    [[nodiscard]] Route begin_call(Worker& worker);
    /// Once for each begin_call().
    void end_call(Worker& worker, const Route& route, Verdict verdict);
    /// How often take() had to use a way whose breaker was open.
    [[nodiscard]] std::uint64_t degraded() const { return degraded_; }

    /// What a request may hope for without a new worker.
    struct Outlook {
        bool soon = false; ///< A worker is up, or about to be.
        /// Otherwise: the one in `backoff` that comes first, if not too late for anybody.
        std::shared_ptr<const Worker> restarting;
    };
    [[nodiscard]] Outlook outlook(const domain::Wanted& wanted) const;
    /// There is hope, by outlook().
    [[nodiscard]] bool served(const domain::Wanted& wanted) const;
    /// The available hive with the most free memory that can spawn the model, and the reference to
    /// spawn it with. Fails with Errc::not_found (MODEL_NOT_FOUND) or Errc::unavailable.
    struct SpawnPlan {
        std::string hive;
        std::string model_ref;
        bool promising = true; ///< It has not refused this lately, and can be reached.
    };
    [[nodiscard]] Result<SpawnPlan> plan_spawn(const domain::Wanted& wanted) const;
    /// The hive would not start a worker for this model: others are asked first for so long.
    void spawn_refused(const SpawnPlan& plan, Duration time);

    /// Grows with each change of the view; not with requests that come and go.
    [[nodiscard]] std::uint64_t revision() const { return revision_; }

    /// Everything that can be served, by short name.
    [[nodiscard]] std::map<std::string, KnownModel> models() const;
    /// The model is worth waiting for: somebody has it or it names a file.
    [[nodiscard]] bool knows_model(const std::string& model) const;

private:
    [[nodiscard]] bool usable(const Worker& worker) const;
    [[nodiscard]] bool reachable(const Worker& worker) const;
    [[nodiscard]] bool returning(const Worker& worker) const;
    [[nodiscard]] bool promising(const Hive& hive, const std::string& model_ref) const;
    [[nodiscard]] domain::RouteBreaker* breaker_of_hive(const Worker& worker);
    [[nodiscard]] const domain::RouteBreaker* breaker_of_hive(const Worker& worker) const;
    void refresh(Worker& worker, const Hive& hive, const api::WorkerInfo& info);
    void fault(domain::RouteBreaker& breaker, domain::RouteBreaker::Pass pass, Opening opening);
    void wake_at(TimePoint due) const;
    void drop_workers_of(const std::string& hive, const std::vector<api::WorkerInfo>& but);
    void changed();

    const Clock& clock_;
    Duration silence_max_; ///< Of a worker that registered itself.
    bool identities_ = false;
    std::function<void()> changed_;
    std::function<void(TimePoint)> due_;
    std::function<void(const Opening&)> opened_;
    std::function<std::uint64_t()> random_;
    std::map<std::string, Hive, std::less<>> hives_;
    std::map<std::string, std::shared_ptr<Worker>> workers_;
    std::uint64_t turn_ = 0;
    std::uint64_t degraded_ = 0;
    std::uint64_t revision_ = 0;
};

} // namespace rbee::queen
