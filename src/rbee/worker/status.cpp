#include "rbee/worker/status.hpp"

#include <fmt/format.h>

#include <utility>

namespace rbee::worker {

void WorkerStatus::progress(const engine::LoadProgress& progress) {
    progress_ = progress;
    changed_.notify_all();
}

void WorkerStatus::enter(Phase phase) {
    phase_ = phase;
    on_phase_();
    changed_.notify_all();
}

void WorkerStatus::ready() {
    if (phase_ == Phase::loading) {
        enter(Phase::ready);
    }
}

void WorkerStatus::fail(std::string reason) {
    if (phase_ != Phase::failed) {
        reason_ = std::move(reason);
        enter(Phase::failed);
    }
}

void WorkerStatus::drain() {
    if (phase_ != Phase::failed) {
        enter(Phase::draining);
    }
}

Result<void> WorkerStatus::check_ready() const {
    const auto not_ready = [](std::string what) {
        return rbee::fail(Errc::unavailable, std::move(what), "WORKER_NOT_READY");
    };
    switch (phase_) {
    case Phase::ready:
        return {};
    case Phase::loading:
        return not_ready(
            fmt::format("the model is still loading ({:.0f} %)", progress_.fraction * 100)
        );
    case Phase::draining:
        return not_ready("the worker is shutting down");
    case Phase::failed:
        break;
    }
    return not_ready("the worker has failed");
}

std::string_view WorkerStatus::name(std::uint32_t slots_busy) const {
    switch (phase_) {
    case Phase::loading:
        return "loading";
    case Phase::ready:
        return slots_busy == 0 ? "idle" : "busy";
    case Phase::draining:
        return "draining";
    case Phase::failed:
        break;
    }
    return "error";
}

} // namespace rbee::worker
