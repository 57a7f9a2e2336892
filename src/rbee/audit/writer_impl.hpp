#pragma once

#include "rbee/audit/own_events.hpp"
#include "rbee/audit/writer.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace rbee::audit {

namespace detail {

struct Entry {
    Event event;
    WallTime at;
    Logger::Done done;
};

/// What one turn of the writing thread takes along.
struct Batch {
    std::vector<Entry> entries;
    Losses losses;
    std::vector<FloodFold::Folded> folded;
    bool last = false; ///< Nothing comes behind it.
};

/// What became of it.
struct Written {
    Io<void> done;
    std::size_t count = 0;     ///< Events handed to the journal.
    std::vector<bool> skipped; ///< For each event of the batch.
    Losses lost;               ///< Newly.
    Losses lost_now;           ///< Known before; their gap record was lost too.
};

[[nodiscard]] inline std::unexpected<Error> unavailable(std::string what) {
    return fail(Errc::unavailable, "the audit log " + std::move(what), "AUDIT_UNAVAILABLE");
}

} // namespace detail

/// Shared by the threads, which may outlive the Writer when the disk hangs.
struct Writer::Impl {
    Impl(
        std::unique_ptr<Folder> disk,
        WriterOptions settings,
        std::shared_ptr<const Clock> time,
        Observer hears
    )
        : folder(std::move(disk)), options(std::move(settings)), clock(std::move(time)),
          observer(std::move(hears)), fold(options.flood) {}

    void run();
    void watch();
    [[nodiscard]] detail::Batch take_batch();
    void add_own(const detail::Batch& batch, WallTime now);
    void write_batch(const detail::Batch& batch);
    void complete(detail::Written result);
    [[nodiscard]] bool worth_writing(const detail::Entry& entry) const;
    [[nodiscard]] Io<void> put(bool sync, WallTime now);
    void wait_for_work(std::unique_lock<std::mutex>& lock);
    [[nodiscard]] bool idle() const;
    void give_up();
    void lose(EventClass kind, WallTime at, std::string_view why);
    void note_losses(std::unique_lock<std::mutex>& lock);
    void tell(const Notice& notice);

    const std::unique_ptr<Folder> folder;
    const WriterOptions options;
    const std::shared_ptr<const Clock> clock;
    std::mutex observing; ///< Held while the observer is called.
    Observer observer;

    // Of the writing thread alone.
    std::unique_ptr<Journal> journal;
    TimePoint unsynced_since = TimePoint::max();
    TimePoint tended = TimePoint::min();
    std::uint64_t noted = 0;          ///< Losses that the journal knows of.
    std::vector<EventClass> unsynced; ///< Acknowledged in async, not yet synced.

    // Under the mutex.
    mutable std::mutex mutex;
    std::condition_variable changed;
    std::deque<detail::Entry> queue;
    std::size_t queue_bytes = 0;
    FloodFold fold;
    Losses lost; ///< Not yet in a gap record.
    Stats counts;
    std::vector<Done> in_flight;
    std::chrono::steady_clock::time_point in_flight_since;
    bool writing = false;
    bool stopping = false;
    bool stopped = false; ///< The writing thread has ended.

    std::thread writer;
    std::thread watcher;
};

} // namespace rbee::audit
