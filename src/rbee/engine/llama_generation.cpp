#include "rbee/engine/llama_generation.hpp"

#include "rbee/base/result.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/engine/generation.hpp"
#include "rbee/engine/llama_request.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "json.h"
#include "server-common.h"
#include "server-context.h"
#include "server-queue.h"
#include "server-task.h"

namespace rbee::engine {
namespace {

std::uint32_t to_count(std::int64_t value) {
    return static_cast<std::uint32_t>(std::max<std::int64_t>(value, 0));
}

std::string format_events(Dialect dialect, const json& data) {
    switch (dialect) {
    case Dialect::messages:
        return format_anthropic_sse(data);
    case Dialect::responses:
        return format_oai_resp_sse(data);
    case Dialect::infer:
    case Dialect::completions:
    case Dialect::chat:
        break;
    }
    return format_oai_sse(data);
}

bool ends_with_done(Dialect dialect) {
    return dialect == Dialect::chat || dialect == Dialect::completions;
}

End end_of(const server_task_result_cmpl_final& result) {
    End end;
    switch (result.stop) {
    case STOP_TYPE_LIMIT:
        end.stop = StopReason::max_tokens;
        break;
    case STOP_TYPE_WORD:
        end.stop = StopReason::stop_sequence;
        end.stop_sequence = result.stopping_word;
        break;
    case STOP_TYPE_NONE: // Nothing was asked for: an empty prompt, or a limit of 0 tokens.
    case STOP_TYPE_EOS:
        break;
    }
    return end;
}

/// Collects what the results of all tasks of one generation say.
class Answer {
public:
    Answer(Generation& generation, const PreparedTasks& prepared, std::atomic<std::uint64_t>& total)
        : generation_(generation), dialect_(generation.request().dialect),
          streamed_(generation.request().stream), seed_(prepared.seed), total_(total) {
        // The same numbering as in server_response_reader::post_tasks().
        for (const server_task& task : prepared.tasks) {
            parts_.emplace_back().first_choice = true;
            parts_.resize(parts_.size() + task.child_tasks.size());
        }
    }

    void take(server_task_result& result, bool last) {
        if (auto* partial = dynamic_cast<server_task_result_cmpl_partial*>(&result)) {
            take_partial(*partial);
        } else if (auto* final = dynamic_cast<server_task_result_cmpl_final*>(&result)) {
            take_final(*final, last);
        }
    }

    [[nodiscard]] End end() const {
        End end = end_;
        end.usage = usage();
        end.seed = seed_;
        return end;
    }

private:
    /// What is known of one choice.
    struct Part {
        bool first_choice = false; ///< Of its prompt; the others share that prompt.
        std::uint32_t prompt_tokens = 0;
        std::uint32_t cached_tokens = 0;
        std::uint32_t completion_tokens = 0;
        double prompt_ms = 0;
        double decode_ms = 0;
        json answer;
    };

    void take_partial(server_task_result_cmpl_partial& result) {
        Part& part = parts_.at(result.index);
        note(part, result);
        if (result.is_begin) {
            // Says only that the prompt is being read. No chunk, so that the HTTP status can wait.
            return;
        }
        Chunk chunk;
        if (dialect_ == Dialect::infer) {
            chunk.text = std::move(result.content);
        } else if (const json data = result.to_json(); !data.is_null()) {
            chunk.wire = format_events(dialect_, data);
        }
        if (!result.is_progress) {
            chunk.token_ids.assign(result.tokens.begin(), result.tokens.end());
        }
        generation_.deliver(std::move(chunk));
    }

    void take_final(server_task_result_cmpl_final& result, bool last) {
        Part& part = parts_.at(result.index);
        note(part, result);
        part.prompt_ms = result.stats.t_prompt_ms();
        part.decode_ms = result.stats.t_gen_ms();
        if (result.index == 0) {
            end_ = end_of(result);
        }
        if (streamed_) {
            finish_stream(result, last);
            return;
        }
        if (dialect_ == Dialect::infer) {
            text_ = result.content;
            token_ids_.assign(result.tokens.begin(), result.tokens.end());
        }
        part.answer = result.to_json();
        if (last) {
            generation_.deliver(
                {.text = std::move(text_),
                 .wire = safe_json_to_str(whole_answer()),
                 .token_ids = std::move(token_ids_)}
            );
        }
    }

    void finish_stream(server_task_result_cmpl_final& result, bool last) {
        if (dialect_ == Dialect::infer) {
            return; // All text has been in the parts.
        }
        Chunk chunk;
        if (const json data = result.to_json(); !data.is_null()) {
            chunk.wire = format_events(dialect_, data);
        }
        if (last && ends_with_done(dialect_)) {
            chunk.wire += "data: [DONE]\n\n";
        }
        generation_.deliver(std::move(chunk));
    }

    /// Several choices of the OpenAI dialects go into one object.
    json whole_answer() {
        json whole = std::move(parts_.front().answer);
        for (std::size_t i = 1; i < parts_.size(); ++i) {
            whole["choices"].push_back(parts_[i].answer.at("choices").at(std::size_t{0}));
        }
        return whole;
    }

    template <typename T>
    void note(Part& part, const T& result) {
        const std::uint32_t decoded = to_count(result.n_decoded);
        if (decoded > part.completion_tokens) {
            total_.fetch_add(decoded - part.completion_tokens, std::memory_order_relaxed);
            part.completion_tokens = decoded;
        }
        part.prompt_tokens = to_count(result.n_prompt_tokens);
        part.cached_tokens = to_count(result.n_prompt_tokens_cache);
        generation_.note_progress(usage(), seed_);
    }

    [[nodiscard]] Usage usage() const {
        Usage usage;
        for (const Part& part : parts_) {
            if (part.first_choice) {
                usage.prompt_tokens += part.prompt_tokens;
                usage.cached_tokens += part.cached_tokens;
            }
            usage.completion_tokens += part.completion_tokens;
            usage.prompt_ms = std::max(usage.prompt_ms, part.prompt_ms);
            usage.decode_ms = std::max(usage.decode_ms, part.decode_ms);
        }
        return usage;
    }

    Generation& generation_;
    const Dialect dialect_;
    const bool streamed_;
    const std::uint32_t seed_;
    std::atomic<std::uint64_t>& total_;
    std::vector<Part> parts_;
    End end_;
    std::string text_;
    std::vector<std::int32_t> token_ids_;
};

void finish_with(Generation& generation, Error error, const Answer* answer = nullptr) {
    End end = answer != nullptr ? answer->end() : End{};
    end.stop = StopReason::error;
    end.error = std::move(error);
    generation.finish(std::move(end));
}

void read_results(Generation& generation, server_response_reader& reader, Answer& answer) {
    while (reader.has_next()) {
        const auto result = reader.next([&generation] { return generation.stopped(); });
        if (!result || generation.stopped()) {
            return;
        }
        if (auto* error = dynamic_cast<server_task_result_error*>(result.get())) {
            finish_with(generation, to_error(*error), &answer);
            return;
        }
        answer.take(*result, !reader.has_next());
    }
    generation.finish(answer.end());
}

void prepare_and_read(
    Generation& generation,
    server_response_reader& reader,
    const TaskContext& context,
    std::atomic<std::uint64_t>& generated
) {
    auto prepared = prepare_tasks(generation.request(), context, reader);
    if (!prepared) {
        finish_with(generation, std::move(prepared.error()));
        return;
    }
    Answer answer(generation, *prepared, generated);
    const ActivityTask owed(context.activity);
    if (generation.post(reader, std::move(prepared->tasks))) {
        read_results(generation, reader, answer);
    }
}

} // namespace

void run_generation(
    Generation& generation,
    server_context& server,
    const TaskContext& context,
    std::atomic<std::uint64_t>& generated
) {
    if (generation.stopped()) {
        return;
    }
    server_response_reader reader = server.get_response_reader();
    try {
        prepare_and_read(generation, reader, context, generated);
    } catch (const std::exception& error) {
        finish_with(generation, {Errc::internal, error.what()});
    } catch (...) {
        finish_with(generation, {Errc::internal, "unknown exception"});
    }
    // First what is left in llama.cpp: the order makes later stop() calls harmless.
    reader.stop();
    generation.release();
}

} // namespace rbee::engine
