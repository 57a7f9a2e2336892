#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rbee::worker {

/// Where the worker is in its life. Belongs to one event loop.
///
///     loading --ready()--> ready --drain()--> draining
///        `----- fail() ------`-----> failed (with a reason; final)
class WorkerStatus {
public:
    enum class Phase { loading, ready, draining, failed };

    /// `changed` is called at each change of phase.
    WorkerStatus(runtime::Timers& timers, std::function<void()> changed)
        : changed_(timers), on_phase_(std::move(changed)) {}

    void progress(const engine::LoadProgress& progress);
    void ready();
    void fail(std::string reason);
    void drain();

    [[nodiscard]] Phase phase() const { return phase_; }
    [[nodiscard]] const std::string& reason() const { return reason_; }
    [[nodiscard]] const engine::LoadProgress& loaded() const { return progress_; }
    /// True when new work may begin; otherwise the Error to answer with.
    [[nodiscard]] Result<void> check_ready() const;
    /// loading, idle, busy, draining or error (behaviour.md 5.3).
    [[nodiscard]] std::string_view name(std::uint32_t slots_busy) const;

    /// Waits for any change; false when there was none until `due`.
    [[nodiscard]] boost::asio::awaitable<bool> changed(TimePoint due) {
        return changed_.wait_until(due);
    }

private:
    void enter(Phase phase);

    Phase phase_ = Phase::loading;
    std::string reason_;
    engine::LoadProgress progress_;
    runtime::Notifier changed_;
    std::function<void()> on_phase_;
};

} // namespace rbee::worker
