// The part of the registry that concerns ends: dying, gone, coming back, given up.
#include "rbee/base/assert.hpp"
#include "rbee/hive/worker_registry.hpp"

#include <fmt/format.h>

#include <utility>

namespace rbee::hive {

using domain::WorkerState;

Result<void> WorkerRegistry::restart_requested(std::string_view id, std::string reason) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    if (!(*entry)->stop_reason.empty()) {
        return wrong_state((*entry)->info, "is on its way out");
    }
    auto asked = stop_requested(id, std::move(reason));
    (*entry)->returns = asked.has_value();
    return asked;
}

Result<void> WorkerRegistry::dying(std::string_view id, std::string reason) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    if (!domain::alive(info.state) || info.state == WorkerState::dying) {
        return wrong_state(info, "cannot begin to die");
    }
    info.state = WorkerState::dying;
    info.slots_available = 0;
    if ((*entry)->stop_reason.empty()) {
        info.reason = std::move(reason);
    }
    changed();
    return {};
}

Result<WorkerState> WorkerRegistry::exited(std::string_view id, const std::string& how) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    api::WorkerInfo& info = (*entry)->info;
    info.pid = std::nullopt;
    info.last_exit = how;
    info.memory_bytes = 0;
    ++(*entry)->generation; // what its requests still hold counts no more
    (*entry)->in_flight = 0;
    (*entry)->requests = {};
    show_requests(**entry);
    const bool asked = !(*entry)->stop_reason.empty();
    if (asked && !(*entry)->returns) {
        entries_.erase(entries_.find(id));
        changed();
        return WorkerState::stopped;
    }
    if (asked) {
        end(**entry, WorkerState::backoff, (*entry)->stop_reason);
    } else if (info.state == WorkerState::failed) {
        // The worker gave its reason itself; the exit status confirms it.
        info.reason = info.reason.empty() ? how : fmt::format("{} ({})", info.reason, how);
        changed();
    } else if (domain::alive(info.state)) {
        end(**entry, (*entry)->ready ? WorkerState::crashed : WorkerState::failed, how);
    }
    return info.state;
}

Result<void> WorkerRegistry::describe_exit(std::string_view id, std::string line) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    (*entry)->info.last_exit = std::move(line);
    return {};
}

Result<WorkerRegistry::Entry*> WorkerRegistry::require_gone(std::string_view id) {
    auto entry = require(id);
    if (entry && (*entry)->info.pid) {
        return wrong_state((*entry)->info, "still has its process");
    }
    return entry;
}

Result<void> WorkerRegistry::back_off(std::string_view id, std::string reason, WallTime next) {
    const auto entry = require_gone(id);
    if (!entry) {
        return error_of(entry);
    }
    (*entry)->info.next_restart = to_rfc3339(next);
    end(**entry, WorkerState::backoff, std::move(reason));
    (*entry)->ended.reset(); // it stays, however long it has to wait
    return {};
}

Result<void> WorkerRegistry::give_up(std::string_view id, WorkerState state, std::string reason) {
    RBEE_ASSERT(state == WorkerState::crashed || state == WorkerState::failed);
    const auto entry = require_gone(id);
    if (!entry) {
        return error_of(entry);
    }
    (*entry)->info.next_restart.reset();
    end(**entry, state, std::move(reason));
    return {};
}

Result<void> WorkerRegistry::restarts_forgiven(std::string_view id) {
    const auto entry = require(id);
    if (!entry) {
        return error_of(entry);
    }
    if (std::exchange((*entry)->info.restart_count, 0U) != 0) {
        changed();
    }
    return {};
}

Result<void> WorkerRegistry::remove(std::string_view id) {
    const auto entry = require_gone(id);
    if (!entry) {
        return error_of(entry);
    }
    entries_.erase(entries_.find(id));
    changed();
    return {};
}

void WorkerRegistry::end(Entry& entry, WorkerState state, std::string reason) {
    entry.info.state = state;
    entry.info.reason = std::move(reason);
    entry.info.slots_available = 0;
    entry.ended = clock_.now();
    changed();
}

} // namespace rbee::hive
