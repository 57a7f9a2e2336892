#include "rbee/worker/worker_metrics.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace rbee::worker {
namespace {

using engine::Dialect;

constexpr std::array dialect_names = {
    std::pair{Dialect::infer, "infer"},
    std::pair{Dialect::completions, "completions"},
    std::pair{Dialect::chat, "chat"},
    std::pair{Dialect::responses, "responses"},
    std::pair{Dialect::messages, "messages"},
};

/// In the order of Outcome.
constexpr std::array outcome_names = {
    "success", "error", "invalid", "cancelled", "timeout", "busy", "not_ready"
};

constexpr std::array reasons_all = {
    CancelReason::client_gone,
    CancelReason::requested,
    CancelReason::deadline,
    CancelReason::stalled,
    CancelReason::shutdown,
};

double seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

const std::vector<double>& first_token_buckets() {
    static const std::vector<double> buckets = {
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60
    };
    return buckets;
}

const std::vector<double>& inter_token_buckets() {
    static const std::vector<double> buckets = {
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1
    };
    return buckets;
}

const std::vector<double>& slot_free_buckets() {
    static const std::vector<double> buckets = {
        0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1
    };
    return buckets;
}

} // namespace

std::string_view to_string(Dialect dialect) {
    return dialect_names.at(static_cast<std::size_t>(dialect)).second;
}

WorkerMetrics::WorkerMetrics(telemetry::Metrics& metrics, WallTime started)
    : prompt_tokens_(metrics.counter(
          "rbee_worker_prompt_tokens_total", "Tokens of prompts, those from the cache included."
      )),
      cached_tokens_(metrics.counter(
          "rbee_worker_prompt_tokens_cached_total", "Tokens of prompts that were in the cache."
      )),
      generated_tokens_(
          metrics.counter("rbee_worker_generated_tokens_total", "Tokens that were generated.")
      ),
      first_token_(metrics.histogram(
          "rbee_worker_time_to_first_token_seconds",
          "From the first byte of a request to its first generated token.",
          first_token_buckets()
      )),
      inter_token_(metrics.histogram(
          "rbee_worker_inter_token_seconds",
          "Between two tokens of one generation.",
          inter_token_buckets()
      )),
      slot_free_(metrics.histogram(
          "rbee_worker_cancel_to_slot_free_seconds",
          "From the cancel of a generation, whatever the reason, to its slot being free.",
          slot_free_buckets()
      )),
      tokens_after_cancel_(metrics.counter(
          "rbee_worker_tokens_after_cancel_total",
          "Tokens that the engine gave after their generation was cancelled."
      )),
      slots_(metrics.gauge("rbee_worker_slots", "Generations that may run at the same time.")),
      slots_busy_(metrics.gauge("rbee_worker_slots_busy", "Generations that run now.")),
      load_seconds_(metrics.gauge("rbee_worker_load_seconds", "Time that loading the model took.")),
      uptime_seconds_(metrics.gauge("rbee_worker_uptime_seconds", "Time since the worker started.")
      ) {
    for (const auto& [dialect, dialect_name] : dialect_names) {
        for (std::size_t outcome = 0; outcome < outcomes; ++outcome) {
            requests_.at(static_cast<std::size_t>(dialect)).at(outcome) = &metrics.counter(
                "rbee_worker_requests_total",
                "Generation requests by dialect and outcome.",
                {{"dialect", dialect_name}, {"outcome", outcome_names.at(outcome)}}
            );
        }
    }
    for (const CancelReason reason : reasons_all) {
        cancellations_.at(static_cast<std::size_t>(reason)) = &metrics.counter(
            "rbee_worker_cancellations_total",
            "Generations that were stopped, by reason.",
            {{"reason", std::string(rbee::to_string(reason))}}
        );
    }
    for (const char* name : {"loading", "idle", "busy", "draining", "error"}) {
        states_[name] =
            &metrics.gauge("rbee_worker_state", "1 for the state that holds.", {{"state", name}});
    }
    metrics.gauge("rbee_worker_start_time_seconds", "Unix time at which the worker started.")
        .Set(static_cast<double>(to_unix_ms(started)) / 1000.0);
}

void WorkerMetrics::request(Dialect dialect, Outcome outcome) {
    requests_.at(static_cast<std::size_t>(dialect))
        .at(static_cast<std::size_t>(outcome))
        ->Increment();
}

void WorkerMetrics::cancelled(CancelReason reason) {
    cancellations_.at(static_cast<std::size_t>(reason))->Increment();
}

void WorkerMetrics::tokens(const engine::Usage& usage) {
    prompt_tokens_.Increment(usage.prompt_tokens);
    cached_tokens_.Increment(usage.cached_tokens);
    generated_tokens_.Increment(usage.completion_tokens);
}

void WorkerMetrics::first_token(Duration after) {
    first_token_.Observe(seconds(after));
}

void WorkerMetrics::next_token(Duration after) {
    inter_token_.Observe(seconds(after));
}

void WorkerMetrics::next_tokens(Duration all, std::uint32_t count) {
    if (count == 0) {
        return;
    }
    const std::vector<double>& buckets = inter_token_buckets();
    const auto bucket = std::ranges::lower_bound(buckets, seconds(all) / count);
    std::vector<double> increments(buckets.size() + 1);
    increments.at(static_cast<std::size_t>(bucket - buckets.begin())) = count;
    inter_token_.ObserveMultiple(increments, seconds(all));
}

void WorkerMetrics::slot_free(Duration after) {
    slot_free_.Observe(seconds(after));
}

void WorkerMetrics::tokens_after_cancel(std::size_t count) {
    tokens_after_cancel_.Increment(static_cast<double>(count));
}

void WorkerMetrics::slots(std::uint32_t total, std::uint32_t busy) {
    slots_.Set(total);
    slots_busy_.Set(busy);
}

void WorkerMetrics::state(std::string_view name) {
    for (const auto& [state, gauge] : states_) {
        gauge->Set(state == name ? 1 : 0);
    }
}

void WorkerMetrics::loaded(Duration took) {
    load_seconds_.Set(seconds(took));
}

void WorkerMetrics::uptime(Duration uptime) {
    uptime_seconds_.Set(seconds(uptime));
}

} // namespace rbee::worker
