#include "rbee/domain/worker_state.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace rbee::domain {
namespace {

constexpr std::array names = {
    std::pair{WorkerState::loading, std::string_view("loading")},
    std::pair{WorkerState::idle, std::string_view("idle")},
    std::pair{WorkerState::busy, std::string_view("busy")},
    std::pair{WorkerState::draining, std::string_view("draining")},
    std::pair{WorkerState::unhealthy, std::string_view("unhealthy")},
    std::pair{WorkerState::dying, std::string_view("dying")},
    std::pair{WorkerState::backoff, std::string_view("backoff")},
    std::pair{WorkerState::stopped, std::string_view("stopped")},
    std::pair{WorkerState::crashed, std::string_view("crashed")},
    std::pair{WorkerState::failed, std::string_view("failed")},
};

} // namespace

std::string_view to_string(WorkerState state) {
    return std::ranges::find(names, state, &std::pair<WorkerState, std::string_view>::first)
        ->second;
}

std::optional<WorkerState> parse_worker_state(std::string_view text) {
    const auto found =
        std::ranges::find(names, text, &std::pair<WorkerState, std::string_view>::second);
    return found == names.end() ? std::nullopt : std::optional(found->first);
}

bool routable(WorkerState state) {
    return state == WorkerState::idle || state == WorkerState::busy;
}

bool alive(WorkerState state) {
    return state == WorkerState::loading || state == WorkerState::draining ||
           state == WorkerState::unhealthy || state == WorkerState::dying || routable(state);
}

bool coming_back(WorkerState state) {
    return state == WorkerState::loading || state == WorkerState::dying ||
           state == WorkerState::backoff;
}

} // namespace rbee::domain
