#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace rbee::worker {

/// Carries one generation from the engine's threads to the event loop. The engine holds sink(),
/// which may outlive this object; everything else belongs to the loop of `timers`. What waits to be
/// read is bounded: beyond `pending_bytes_max` the reader is told once that it is too slow, and it
/// is up to the reader to stop the generation.
class GenerationStream {
public:
    struct Piece {
        engine::Chunk chunk;
        TimePoint made_at; ///< When the engine handed it over.
    };
    /// Everything that has come since the last batch.
    struct Batch {
        std::vector<Piece> pieces;
        std::optional<engine::End> end; ///< Set in the last batch.
    };

    GenerationStream(
        runtime::Timers& timers, std::size_t pending_bytes_max, std::function<void()> on_overflow
    );
    GenerationStream(const GenerationStream&) = delete;
    GenerationStream& operator=(const GenerationStream&) = delete;
    ~GenerationStream();

    [[nodiscard]] std::shared_ptr<engine::GenerationSink> sink() const;
    /// Waits for something new. Not to be called again after the end.
    [[nodiscard]] boost::asio::awaitable<Batch> next();

private:
    class Sink;
    void wake();

    runtime::Notifier arrived_;
    std::function<void()> on_overflow_;
    std::shared_ptr<Sink> sink_;
};

} // namespace rbee::worker
