#include "rbee/worker/generation_stream.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>

#include <mutex>
#include <utility>

namespace rbee::worker {

namespace asio = boost::asio;

/// The part that both sides touch. Wake-ups are coalesced: at most one is on its way to the loop.
class GenerationStream::Sink final : public engine::GenerationSink,
                                     public std::enable_shared_from_this<Sink> {
public:
    Sink(GenerationStream& reader, runtime::Timers& timers, std::size_t pending_bytes_max)
        : reader_(&reader), executor_(timers.executor()), clock_(timers.clock()),
          pending_bytes_max_(pending_bytes_max) {}

    void on_chunk(engine::Chunk chunk) override {
        const TimePoint now = clock_.now();
        bool wake = false;
        {
            const std::scoped_lock lock(mutex_);
            pending_bytes_ += chunk.text.size() + chunk.wire.size();
            overflowed_ = overflowed_ || pending_bytes_ > pending_bytes_max_;
            pending_.pieces.push_back({std::move(chunk), now});
            wake = !std::exchange(waking_, true);
        }
        if (wake) {
            post_wake();
        }
    }

    void on_end(engine::End end) override {
        bool wake = false;
        {
            const std::scoped_lock lock(mutex_);
            pending_.end = std::move(end);
            wake = !std::exchange(waking_, true);
        }
        if (wake) {
            post_wake();
        }
    }

    [[nodiscard]] Batch take() {
        const std::scoped_lock lock(mutex_);
        pending_bytes_ = 0;
        return std::exchange(pending_, {});
    }

    /// Loop only.
    void forget_reader() { reader_ = nullptr; }

    /// Loop only: clears the mark for the wake-up that now arrives. True once, on overflow.
    [[nodiscard]] bool begin_wake() {
        const std::scoped_lock lock(mutex_);
        waking_ = false;
        return overflowed_ && !std::exchange(overflow_told_, true);
    }

private:
    void post_wake() {
        asio::post(executor_, [self = shared_from_this()] {
            if (self->reader_ != nullptr) {
                self->reader_->wake();
            }
        });
    }

    GenerationStream* reader_; ///< Loop only; null once the reader has gone.
    asio::any_io_executor executor_;
    const Clock& clock_;
    const std::size_t pending_bytes_max_;

    std::mutex mutex_;
    Batch pending_;
    std::size_t pending_bytes_ = 0;
    bool waking_ = false;
    bool overflowed_ = false;
    bool overflow_told_ = false;
};

GenerationStream::GenerationStream(
    runtime::Timers& timers, std::size_t pending_bytes_max, std::function<void()> on_overflow
)
    : arrived_(timers), on_overflow_(std::move(on_overflow)),
      sink_(std::make_shared<Sink>(*this, timers, pending_bytes_max)) {}

GenerationStream::~GenerationStream() {
    sink_->forget_reader();
}

std::shared_ptr<engine::GenerationSink> GenerationStream::sink() const {
    return sink_;
}

void GenerationStream::wake() {
    if (sink_->begin_wake()) {
        on_overflow_();
    }
    arrived_.notify_all();
}

asio::awaitable<GenerationStream::Batch> GenerationStream::next() {
    Batch batch = sink_->take();
    while (batch.pieces.empty() && !batch.end) {
        co_await arrived_.wait();
        batch = sink_->take();
    }
    co_return batch;
}

} // namespace rbee::worker
