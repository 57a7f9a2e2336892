#include "rbee/worker/core.hpp"

#include <utility>

namespace rbee::worker {

Core::Core(Settings with, Outside outside)
    : settings(std::move(with)), timers(outside.timers), engine(outside.engine), log(outside.log),
      random(std::move(outside.random)), metrics(outside.metrics, outside.timers.clock().wall()),
      deadlines(
          {outside.deadline_timers, outside.log, outside.metrics, "rbee_worker"},
          {domain::inner_hop_policy()}
      ),
      status(timers, [this] { show(); }), slots([this](std::uint32_t) { show(); }), idle(timers),
      running([this] { idle.notify_all(); }) {
    show();
}

void Core::show() {
    metrics.state(status.name(slots.busy()));
    metrics.slots(slots.total(), slots.busy());
}

} // namespace rbee::worker
