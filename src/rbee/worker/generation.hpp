#pragma once

#include "rbee/http/exchange.hpp"
#include "rbee/worker/answer.hpp"
#include "rbee/worker/core.hpp"
#include "rbee/worker/generation_stream.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rbee::worker {

/// A generation that was checked and may begin.
struct Plan {
    engine::Dialect dialect = engine::Dialect::infer;
    std::string body;           ///< For the engine.
    bool engine_streams = true; ///< Tokens come one by one, also when the client wants one piece.
    std::unique_ptr<Answer> answer;
    std::vector<std::string> ids; ///< Under which a client may cancel it.
    std::unique_ptr<api::RequestDeadline> deadline;
};

/// Runs one generation for one exchange: takes a slot, starts the engine, writes what comes, gives
/// the slot back. The head of the answer is held until there is something to send, so everything
/// that goes wrong before is an ordinary error answer; afterwards it is an error event. Lives in
/// the frame of its handler; belongs to the loop.
class Generation {
public:
    Generation(Core& core, http::Exchange& exchange, Plan plan);
    Generation(const Generation&) = delete;
    Generation& operator=(const Generation&) = delete;

    [[nodiscard]] boost::asio::awaitable<void> run();

private:
    [[nodiscard]] boost::asio::awaitable<engine::End> pump();
    [[nodiscard]] boost::asio::awaitable<void> send();
    [[nodiscard]] boost::asio::awaitable<void> complete();
    [[nodiscard]] boost::asio::awaitable<void> refuse_busy();
    [[nodiscard]] boost::asio::awaitable<void> show_error(Error error);
    void take(const GenerationStream::Piece& piece);
    void time_whole(const engine::End& end) const;
    [[nodiscard]] bool counts_as_answer(const engine::End& end) const;
    void account(const engine::End& end);
    void log_end(const engine::End& end) const;

    Core& core_;
    http::Exchange& exchange_;
    Plan plan_;
    const std::string engine_id_; ///< Ours: ids of clients need not be unique.
    const telemetry::Logger log_;
    GenerationStream stream_;
    std::string out_;   ///< Not sent yet.
    bool gone_ = false; ///< The client does not read any more.
    std::optional<TimePoint> last_token_at_;
    std::optional<TimePoint> cancelled_at_;
};

/// What to tell a client whose generation did not end well; nothing when there is nobody to tell.
/// `started`: the answer has begun, so the codes are those of events (behaviour.md 5.5).
[[nodiscard]] std::optional<Error> failure_of(const engine::End& end, bool started);

} // namespace rbee::worker
