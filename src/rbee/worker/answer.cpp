#include "rbee/worker/answer.hpp"

#include "rbee/http/sse.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <chrono>
#include <cmath>

namespace rbee::worker {

namespace json = boost::json;

namespace {

std::int64_t whole_ms(double ms) {
    return std::llround(ms);
}

/// The members that the stream's `end` event and the single document share.
void describe_end(const engine::End& end, json::object& out) {
    out["tokens_out"] = end.usage.completion_tokens;
    out["tokens_in"] = end.usage.prompt_tokens;
    out["decode_time_ms"] = whole_ms(end.usage.decode_ms);
    const bool cut = ended_by_deadline(end);
    out["stop_reason"] = to_string(cut ? engine::StopReason::max_tokens : end.stop);
    if (cut) {
        out["truncated_by"] = "deadline";
    }
    if (end.stop == engine::StopReason::stop_sequence) {
        out["stop_sequence_matched"] = end.stop_sequence;
    }
}

} // namespace

bool ended_by_deadline(const engine::End& end) {
    return end.stop == engine::StopReason::cancelled && end.cancel_reason == CancelReason::deadline;
}

std::string_view to_string(engine::StopReason reason) {
    switch (reason) {
    case engine::StopReason::max_tokens:
        return "MAX_TOKENS";
    case engine::StopReason::eos:
        return "EOS";
    case engine::StopReason::stop_sequence:
        return "STOP_SEQUENCE";
    case engine::StopReason::cancelled:
        return "CANCELLED";
    case engine::StopReason::error:
        break;
    }
    return "ERROR";
}

void WireAnswer::add(const engine::Chunk& chunk, TimePoint /*made_at*/, std::string& out) {
    out += chunk.wire;
}

void WireAnswer::finish(const engine::End& /*end*/, std::string& /*out*/) {}

api::StreamDialect WireAnswer::error_dialect() const {
    switch (dialect_) {
    case engine::Dialect::responses:
        return api::StreamDialect::responses;
    case engine::Dialect::messages:
        return api::StreamDialect::anthropic;
    case engine::Dialect::infer:
    case engine::Dialect::completions:
    case engine::Dialect::chat:
        break;
    }
    return api::StreamDialect::openai;
}

void InferAnswer::begin(std::string& out) {
    if (begun_) {
        return;
    }
    begun_ = true;
    const json::object event{
        {"type", "started"},
        {"job_id", options_.job_id},
        {"model", options_.model},
        {"started_at", to_rfc3339(options_.started_at)},
        {"seed", options_.seed},
    };
    out += http::format_sse(json::serialize(event));
}

void InferAnswer::add_metrics(TimePoint made_at, std::string& out) {
    if (made_at - metrics_at_ < options_.metrics_period) {
        return;
    }
    metrics_at_ = made_at;
    const double ms = std::chrono::duration<double, std::milli>(made_at - first_token_at_).count();
    const json::object event{
        {"type", "metrics"},
        {"job_id", options_.job_id},
        {"tokens_out", tokens_},
        {"decode_time_ms", whole_ms(ms)},
        {"tokens_per_sec", std::round((tokens_ - 1) / ms * 1e6) / 1e3},
        {"vram_bytes", 0},
    };
    out += http::format_sse(json::serialize(event));
}

void InferAnswer::add(const engine::Chunk& chunk, TimePoint made_at, std::string& out) {
    if (chunk.text.empty() && chunk.token_ids.empty()) {
        return; // the engine has begun, but there is no token yet
    }
    if (!options_.streaming) {
        text_ += chunk.text;
        return;
    }
    begin(out);
    if (index_ == 0) {
        first_token_at_ = made_at;
        metrics_at_ = made_at;
    }
    tokens_ += chunk.token_ids.empty() ? 1 : static_cast<std::uint32_t>(chunk.token_ids.size());
    const json::object event{{"type", "token"}, {"t", chunk.text}, {"i", index_}};
    ++index_;
    out += http::format_sse(json::serialize(event));
    add_metrics(made_at, out);
}

void InferAnswer::finish(const engine::End& end, std::string& out) {
    if (!options_.streaming) {
        json::object document{
            {"job_id", options_.job_id},
            {"model", options_.model},
            {"text", text_},
            {"seed", options_.seed},
        };
        describe_end(end, document);
        out += json::serialize(document);
        return;
    }
    begin(out);
    json::object event{{"type", "end"}};
    describe_end(end, event);
    out += http::format_sse(json::serialize(event));
    out += http::format_sse("[DONE]");
}

} // namespace rbee::worker
