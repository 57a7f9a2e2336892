#include "rbee/hive/worker_choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

namespace rbee::hive {

using api::WorkerInfo;
using domain::WorkerState;

namespace {

/// Names of the models that are there or on their way.
std::set<std::string> model_names(const std::vector<WorkerInfo>& workers) {
    std::set<std::string> names;
    for (const WorkerInfo& worker : workers) {
        if (domain::alive(worker.state)) {
            names.insert(worker.model);
        }
    }
    return names;
}

Result<std::string> named_worker(const std::vector<WorkerInfo>& workers, const std::string& id) {
    const auto found = std::ranges::find(workers, id, &WorkerInfo::id);
    if (found == workers.end() || found->state == WorkerState::stopped) {
        return fail(Errc::not_found, "there is no such worker on this hive", "WORKER_NOT_FOUND");
    }
    if (!domain::routable(found->state)) {
        return fail(
            Errc::unavailable,
            fmt::format("worker {} is {}", found->id, domain::to_string(found->state)),
            "WORKER_NOT_READY"
        );
    }
    return found->id;
}

Result<std::string> only_model(const std::vector<WorkerInfo>& workers) {
    const std::set<std::string> names = model_names(workers);
    if (names.empty()) {
        return fail(Errc::unavailable, "no worker is running on this hive", "WORKER_NOT_READY");
    }
    if (names.size() > 1) {
        return fail(
            Errc::invalid_argument,
            fmt::format("name a model in the field model; running here: {}", fmt::join(names, ", "))
        );
    }
    return *names.begin();
}

} // namespace

Result<std::string>
choose_worker(const std::vector<WorkerInfo>& workers, const WorkerQuery& query) {
    if (!query.worker_id.empty()) {
        return named_worker(workers, query.worker_id);
    }
    std::string model = query.model;
    if (model.empty()) {
        auto only = only_model(workers);
        if (!only) {
            return only;
        }
        model = std::move(*only);
    }
    const WorkerInfo* best = nullptr;
    const WorkerInfo* waiting = nullptr;
    for (const WorkerInfo& worker : workers) {
        if (worker.model != model && worker.model_ref != model) {
            continue;
        }
        if (domain::routable(worker.state)) {
            if (best == nullptr || worker.slots_available > best->slots_available) {
                best = &worker;
            }
        } else if (domain::alive(worker.state)) {
            waiting = &worker;
        }
    }
    if (best != nullptr) {
        return best->id;
    }
    if (waiting != nullptr) {
        return fail(
            Errc::unavailable,
            fmt::format("the worker of this model is {}", domain::to_string(waiting->state)),
            "WORKER_NOT_READY"
        );
    }
    return fail(
        Errc::not_found,
        fmt::format(
            "no worker of this hive runs that model; running here: {}",
            model_names(workers).empty() ? "none"
                                         : fmt::format("{}", fmt::join(model_names(workers), ", "))
        ),
        "MODEL_NOT_FOUND"
    );
}

bool needs_slot(std::string_view path) {
    static constexpr std::array<std::string_view, 4> free = {
        "/tokenize", "/detokenize", "/apply-template", "/v1/messages/count_tokens"
    };
    return std::ranges::find(free, path) == free.end();
}

} // namespace rbee::hive
