#include "rbee/queen/metrics.hpp"

#include "rbee/domain/worker_state.hpp"
#include "rbee/queen/fleet.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

namespace rbee::queen {
namespace {

const std::vector<double> wait_buckets = {
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300
};

constexpr std::array groups = {
    std::pair{std::string_view("/v1/chat/completions"), std::string_view("chat")},
    std::pair{std::string_view("/v1/completions"), std::string_view("completions")},
    std::pair{std::string_view("/v1/responses"), std::string_view("responses")},
    std::pair{std::string_view("/v1/messages"), std::string_view("messages")},
    std::pair{std::string_view("/v1/embeddings"), std::string_view("embeddings")},
    std::pair{std::string_view("/v1/rerank"), std::string_view("rerank")},
    std::pair{std::string_view("/v1/inference"), std::string_view("inference")},
    std::pair{std::string_view("/infer"), std::string_view("inference")},
    std::pair{std::string_view("/execute"), std::string_view("inference")},
    std::pair{std::string_view("/v2/tasks"), std::string_view("tasks")},
};

} // namespace

std::string_view path_group(std::string_view path) {
    const auto found =
        std::ranges::find(groups, path, &std::pair<std::string_view, std::string_view>::first);
    return found == groups.end() ? std::string_view("other") : found->second;
}

QueenMetrics::QueenMetrics(telemetry::Metrics& metrics)
    : metrics_(metrics),
      depth_(metrics.gauge("rbee_queen_queue_depth", "Requests that wait for a slot.")),
      in_flight_(metrics.gauge("rbee_queen_inference_in_flight", "Requests that have a slot.")),
      wait_(metrics.histogram(
          "rbee_queen_queue_wait_seconds", "Time from arrival to a slot.", wait_buckets
      )),
      first_byte_(metrics.histogram(
          "rbee_queen_time_to_first_byte_seconds",
          "Time from arrival to the first body byte of the answer.",
          wait_buckets
      )),
      attempts_(metrics.counter(
          "rbee_queen_attempts_total", "Requests sent to a hive, repetitions included."
      )),
      requeues_(metrics.counter(
          "rbee_queen_requeues_total", "Requests that had a slot and had to wait again."
      )),
      retries_(metrics.counter(
          "rbee_queen_retries_total", "Requests sent again after a worker or hive had failed them."
      )),
      degraded_(metrics.counter(
          "rbee_queen_degraded_routes_total",
          "Requests sent on a way whose breaker was open, because there was no other."
      )) {
    for (const char* target : {"worker", "hive"}) {
        openings(target);
    }
    for (const char* reason : {"budget", "attempts"}) {
        refusals(reason);
    }
}

prometheus::Counter& QueenMetrics::openings(std::string_view target) {
    return metrics_.counter(
        "rbee_queen_route_breaker_activations_total",
        "Route breakers that opened, by what they guard.",
        {{"target", std::string(target)}}
    );
}

prometheus::Counter& QueenMetrics::refusals(std::string_view reason) {
    return metrics_.counter(
        "rbee_queen_retries_refused_total",
        "Requests not sent again because of the budget or the number of attempts.",
        {{"reason", std::string(reason)}}
    );
}

void QueenMetrics::retry_refused(std::string_view reason) {
    refusals(reason).Increment();
}

void QueenMetrics::route_breaker_opened(std::string_view target) {
    openings(target).Increment();
}

void QueenMetrics::request_done(std::string_view path, std::string_view outcome) {
    // Looked up once for each pair: it is one for each request.
    auto& of_path = done_[path_group(path)];
    auto found = of_path.find(outcome);
    if (found == of_path.end()) {
        auto& counter = metrics_.counter(
            "rbee_queen_inference_requests_total",
            "Inference requests answered, by kind of path and outcome.",
            {{"path", std::string(path_group(path))}, {"outcome", std::string(outcome)}}
        );
        found = of_path.emplace(std::string(outcome), &counter).first;
    }
    found->second->Increment();
}

void QueenMetrics::spawn(std::string_view outcome) {
    metrics_
        .counter(
            "rbee_queen_spawns_total",
            "Workers started because a request needed them, by outcome.",
            {{"outcome", std::string(outcome)}}
        )
        .Increment();
}

void QueenMetrics::count(const Fleet& fleet) {
    using domain::WorkerState;
    constexpr std::array states = {
        WorkerState::loading,
        WorkerState::idle,
        WorkerState::busy,
        WorkerState::draining,
        WorkerState::unhealthy,
        WorkerState::dying,
        WorkerState::backoff,
        WorkerState::stopped,
        WorkerState::crashed,
        WorkerState::failed,
    };
    std::map<WorkerState, int> workers;
    for (const auto& [id, worker] : fleet.workers()) {
        ++workers[worker->state()];
    }
    for (const WorkerState state : states) {
        metrics_
            .gauge(
                "rbee_queen_workers",
                "Workers in the queen's view, by state.",
                {{"state", std::string(to_string(state))}}
            )
            .Set(workers[state]);
    }
    const auto available = std::ranges::count_if(fleet.hives(), [](const auto& entry) {
        return entry.second.available;
    });
    const auto all = static_cast<std::ptrdiff_t>(fleet.hives().size());
    const std::string help = "Hives in the queen's view, by availability.";
    metrics_.gauge("rbee_queen_hives", help, {{"available", "true"}})
        .Set(static_cast<double>(available));
    metrics_.gauge("rbee_queen_hives", help, {{"available", "false"}})
        .Set(static_cast<double>(all - available));
    constexpr auto closed = domain::RouteBreaker::State::closed;
    const auto open_workers = std::ranges::count_if(fleet.workers(), [](const auto& entry) {
        return entry.second->breaker.state() != closed;
    });
    const auto open_hives = std::ranges::count_if(fleet.hives(), [](const auto& entry) {
        return entry.second.breaker.state() != closed;
    });
    const std::string not_closed = "Route breakers that are not closed, by what they guard.";
    metrics_.gauge("rbee_queen_route_breakers_open", not_closed, {{"target", "worker"}})
        .Set(static_cast<double>(open_workers));
    metrics_.gauge("rbee_queen_route_breakers_open", not_closed, {{"target", "hive"}})
        .Set(static_cast<double>(open_hives));
}

} // namespace rbee::queen
