#pragma once

#include "rbee/api/error_body.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/engine/engine.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace rbee::worker {

/// Turns what the engine gives into the bytes of one dialect. Pure; for one request.
class Answer {
public:
    virtual ~Answer() = default;

    /// Streaming: bytes for the client now. Otherwise the body, which is sent after finish().
    [[nodiscard]] virtual bool streaming() const = 0;
    /// Appends what `chunk` means for the client; nothing when it has no content yet.
    virtual void add(const engine::Chunk& chunk, TimePoint made_at, std::string& out) = 0;
    /// Appends what comes behind the last chunk of a generation that ended well, or that its
    /// deadline ended after the first token when what there is counts as the answer.
    virtual void finish(const engine::End& end, std::string& out) = 0;
    /// How an error shows inside a stream of this dialect.
    [[nodiscard]] virtual api::StreamDialect error_dialect() const = 0;
};

/// The dialects whose bytes the engine writes itself.
class WireAnswer final : public Answer {
public:
    WireAnswer(engine::Dialect dialect, bool streaming)
        : dialect_(dialect), streaming_(streaming) {}

    [[nodiscard]] bool streaming() const override { return streaming_; }
    void add(const engine::Chunk& chunk, TimePoint made_at, std::string& out) override;
    void finish(const engine::End& end, std::string& out) override;
    [[nodiscard]] api::StreamDialect error_dialect() const override;

private:
    engine::Dialect dialect_;
    bool streaming_;
};

/// rbee's own dialect (behaviour.md 5.5): typed events, or one JSON document.
class InferAnswer final : public Answer {
public:
    struct Options {
        std::string job_id;
        std::string model;
        std::uint64_t seed = 0; ///< As the client gave it, or as we chose it.
        WallTime started_at;
        bool streaming = true;
        /// At most one `metrics` event in this time.
        Duration metrics_period = std::chrono::seconds(1);
    };

    explicit InferAnswer(Options options) : options_(std::move(options)) {}

    [[nodiscard]] bool streaming() const override { return options_.streaming; }
    void add(const engine::Chunk& chunk, TimePoint made_at, std::string& out) override;
    void finish(const engine::End& end, std::string& out) override;
    [[nodiscard]] api::StreamDialect error_dialect() const override {
        return api::StreamDialect::rbee;
    }

private:
    void begin(std::string& out);
    void add_metrics(TimePoint made_at, std::string& out);

    Options options_;
    bool begun_ = false;
    std::string text_; ///< Only when not streaming.
    std::uint32_t index_ = 0;
    std::uint32_t tokens_ = 0;
    TimePoint first_token_at_;
    TimePoint metrics_at_;
};

[[nodiscard]] bool ended_by_deadline(const engine::End& end);

/// MAX_TOKENS, EOS, STOP_SEQUENCE, CANCELLED or ERROR.
[[nodiscard]] std::string_view to_string(engine::StopReason reason);

} // namespace rbee::worker
