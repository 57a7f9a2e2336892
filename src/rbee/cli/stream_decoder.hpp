#pragma once

#include "rbee/base/result.hpp"
#include "rbee/http/sse.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::cli {

/// One thing that a stream of tokens said.
struct StreamEvent {
    enum class Kind {
        started,  ///< The model has the request.
        text,     ///< Part of the answer.
        thought,  ///< Part of the model's reasoning, not of the answer.
        note,     ///< Alive, nothing to show (metrics, narration, usage).
        finished, ///< The answer is complete.
        failed,   ///< The server says that it cannot be completed.
    };
    Kind kind = Kind::note;
    std::string text;
    Error error{}; ///< With `failed`.
};

/// Reads the token streams that programs of ours send, whichever of the three it is:
/// chat completions of the OpenAI API, our typed events ({"type":"token","t":...}), and the plain
/// form ({"token":...}, {"done":true}). Pure; bytes may come in any pieces.
class StreamDecoder {
public:
    struct Summary {
        std::string model;
        std::string finish_reason; ///< OpenAI words: stop, length, ...; empty when not told.
        std::optional<std::uint64_t> prompt_tokens;
        std::optional<std::uint64_t> completion_tokens; ///< As the server counts.
        std::uint64_t pieces = 0;                       ///< Text and thought events seen.
    };

    /// Events completed by these bytes. Nothing comes behind `finished` or `failed`.
    [[nodiscard]] std::vector<StreamEvent> feed(std::string_view bytes);
    /// The answer's end was seen. A stream that closes without it is broken.
    [[nodiscard]] bool complete() const { return complete_; }
    [[nodiscard]] const Summary& summary() const { return summary_; }

private:
    void decode(const http::SseEvent& event, std::vector<StreamEvent>& out);
    void decode_typed(const boost::json::object& object, std::string_view type, StreamEvent& event);
    void decode_plain(const boost::json::object& object, StreamEvent& event);
    void decode_openai(const boost::json::object& object, StreamEvent& event);
    void take_usage(const boost::json::object& object);

    http::SseReader reader_;
    Summary summary_;
    bool complete_ = false; ///< A terminal record was seen.
    bool ended_ = false;    ///< `finished` or `failed` was given out.
};

} // namespace rbee::cli
