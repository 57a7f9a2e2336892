#pragma once

#include "rbee/engine/engine.hpp"
#include "rbee/http/sse.hpp"
#include "rbee/worker/answer.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace rbee::worker {

/// Chat and text completions for X-Deadline-Policy: partial. The engine always streams here: what
/// it writes is read along, so that the answer can be finished at any time, and put together when
/// the client wants it in one piece.
class PartialCompletion final : public Answer {
public:
    struct Options {
        engine::Dialect dialect = engine::Dialect::chat; ///< chat or completions.
        bool streaming = false;
        bool include_usage = false; ///< Streaming: the client asked for a chunk with the usage.
    };

    explicit PartialCompletion(Options options) : options_(options) {}

    [[nodiscard]] bool streaming() const override { return options_.streaming; }
    void add(const engine::Chunk& chunk, TimePoint made_at, std::string& out) override;
    void finish(const engine::End& end, std::string& out) override;
    [[nodiscard]] api::StreamDialect error_dialect() const override {
        return api::StreamDialect::openai;
    }

private:
    struct Choice {
        boost::json::object message; ///< Its deltas, joined; `content` also holds plain text.
        std::map<std::int64_t, boost::json::object> tool_calls;
        boost::json::array logprobs;
        std::string finish_reason; ///< Empty while it goes on.
    };

    void take(std::string_view data);
    void take_choice(const boost::json::object& part);
    void end_stream(const engine::End& end, std::string& out) const;
    [[nodiscard]] boost::json::object document(const engine::End& end) const;
    [[nodiscard]] boost::json::object
    choice_of(std::int64_t index, const Choice& choice, const engine::End& end) const;
    [[nodiscard]] bool chat() const { return options_.dialect == engine::Dialect::chat; }

    const Options options_;
    http::SseReader reader_;
    boost::json::object head_; ///< id, model and the like, as in every chunk.
    boost::json::object timings_;
    std::map<std::int64_t, Choice> choices_;
};

/// The same for POST /v1/messages.
class PartialMessage final : public Answer {
public:
    explicit PartialMessage(bool streaming) : streaming_(streaming) {}

    [[nodiscard]] bool streaming() const override { return streaming_; }
    void add(const engine::Chunk& chunk, TimePoint made_at, std::string& out) override;
    void finish(const engine::End& end, std::string& out) override;
    [[nodiscard]] api::StreamDialect error_dialect() const override {
        return api::StreamDialect::anthropic;
    }

private:
    struct Block {
        boost::json::object content;
        std::string input; ///< Of a tool, as JSON text.
        bool open = true;
    };

    void take(std::string_view data);
    void take_delta(const boost::json::object& event);
    void end_stream(const engine::End& end, std::string& out) const;
    [[nodiscard]] boost::json::object document(const engine::End& end) const;

    const bool streaming_;
    http::SseReader reader_;
    boost::json::object message_; ///< From message_start.
    std::map<std::int64_t, Block> blocks_;
    boost::json::object ending_; ///< stop_reason and stop_sequence; empty while it goes on.
};

/// For the dialects completions, chat and messages. `body` is what the client sent.
[[nodiscard]] std::unique_ptr<Answer>
make_partial_answer(engine::Dialect dialect, bool streaming, std::string_view body);

} // namespace rbee::worker
