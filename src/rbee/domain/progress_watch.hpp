#pragma once

#include "rbee/base/clock.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace rbee::domain {

/// For how long a worker may stand still (reliability.md 2.2).
struct ProgressLimits {
    /// A loop that owes an answer must advance within this; zero: nobody looks.
    Duration stall = std::chrono::seconds(10);
    /// Or within so many times the average time between two advances, if that is longer: the steps
    /// of a big model on a small machine are long by nature.
    std::uint32_t step_factor = 20;
    Duration load_stall = std::chrono::seconds(30); ///< Loading must advance within this.
    Duration load_total = std::chrono::minutes(30); ///< And be done after this.
    Duration heartbeat = std::chrono::seconds(60);  ///< A sign of the event loop, working or not.
    /// Who looks this late has stood still itself, and what it missed is no fault of the worker.
    Duration look_gap = std::chrono::seconds(2);
};

/// What is seen of a worker at one moment.
struct ProgressSigns {
    bool loading = false;
    std::uint64_t steps = 0;      ///< Of its inference loop; while it loads, of the load.
    std::uint32_t owed = 0;       ///< Answers that the loop owes.
    Duration patience{};          ///< What the worker says its longest step may take.
    std::uint64_t beats = 0;      ///< Of its event loop, two each second.
    std::uint32_t in_flight = 0;  ///< Requests that the hive has given to it.
    std::uint64_t load_bytes = 0; ///< In memory; grows while it loads.
};

/// A worker that lives and does not work.
struct Stall {
    enum class Kind {
        working,   ///< The inference loop owes answers and stands still.
        deaf,      ///< It has requests and its event loop stands still.
        silent,    ///< It has none, and its event loop has stood still for longer.
        loading,   ///< Its load stands still.
        load_time, ///< Its load takes too long altogether.
    };
    Kind kind = Kind::working;
    Duration still{}; ///< For how long.

    /// One line for people: "no progress for 10.0 s with 2 answers owed".
    [[nodiscard]] std::string describe(const ProgressSigns& signs) const;
};

/// Decides whether one worker process is stuck. Pure: it is told the time. Look often: what is seen
/// late counts from when it is seen.
class ProgressWatch {
public:
    ProgressWatch(TimePoint started, ProgressLimits limits);

    /// From now on.
    void set_limits(const ProgressLimits& limits) { limits_ = limits; }

    /// The signs at `now`, which never goes back. Tells of a stall each time as long as it lasts.
    [[nodiscard]] std::optional<Stall> look(TimePoint now, const ProgressSigns& signs);

    /// For how long the loop may stand still now.
    [[nodiscard]] Duration step_limit(const ProgressSigns& signs) const;

private:
    void forgive(TimePoint now);
    void learn(Duration gap);
    [[nodiscard]] std::optional<Stall> look_at_load(TimePoint now, const ProgressSigns& signs);
    [[nodiscard]] std::optional<Stall> look_at_loop(TimePoint now, const ProgressSigns& signs);
    [[nodiscard]] std::optional<Stall> look_at_beats(TimePoint now, const ProgressSigns& signs);

    ProgressLimits limits_;
    TimePoint started_;
    TimePoint looked_;
    TimePoint advanced_; ///< When the loop, or the load, last advanced or had nothing to do.
    TimePoint beaten_;   ///< When the event loop last showed itself.
    TimePoint asked_;    ///< Since when it has requests without a break.
    ProgressSigns seen_;
    Duration average_{}; ///< Between two advances of the loop, moving.
};

} // namespace rbee::domain
