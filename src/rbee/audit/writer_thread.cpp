#include "rbee/audit/writer_impl.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace rbee::audit {
namespace {

using detail::Batch;
using detail::Entry;
using detail::unavailable;
using detail::Written;
using Lock = std::unique_lock<std::mutex>;

constexpr std::size_t batch_records_max = 4096;
constexpr std::size_t unsynced_bytes_max = 1U << 20U;
constexpr Duration tick = std::chrono::seconds(1);

} // namespace

void Writer::Impl::lose(EventClass kind, WallTime at, std::string_view why) {
    lost.add(kind, at, why);
    ++counts.lost;
}

void Writer::Impl::tell(const Notice& notice) {
    const std::lock_guard lock(observing);
    if (observer) {
        observer(notice);
    }
}

bool Writer::Impl::idle() const {
    return queue.empty() && !stopping;
}

/// Returns with work to do, or after a tick when something is due by time alone.
void Writer::Impl::wait_for_work(Lock& lock) {
    const auto something = [this] { return !idle(); };
    const bool timed =
        unsynced_since != TimePoint::max() || fold.pending() || lost.count() > 0 || counts.full;
    if (timed) {
        const auto wait = std::min<Duration>(tick, options.sync_interval);
        changed.wait_for(lock, wait, something);
    } else {
        changed.wait(lock, [&] { return !idle() || fold.pending() || lost.count() > 0; });
    }
    // One sync for many: the first of a batch waits for those that are about to come.
    if (options.mode == Mode::group && options.window > Duration::zero() && !stopping) {
        changed.wait_for(lock, options.window, [this] {
            return stopping || queue.size() >= batch_records_max;
        });
    }
}

Batch Writer::Impl::take_batch() {
    Batch batch;
    const std::size_t count = std::min(queue.size(), batch_records_max);
    const auto end = queue.begin() + static_cast<std::ptrdiff_t>(count);
    batch.entries.assign(std::make_move_iterator(queue.begin()), std::make_move_iterator(end));
    queue.erase(queue.begin(), end);
    for (Entry& entry : batch.entries) {
        queue_bytes -= entry.event.body().size();
        in_flight.push_back(std::move(entry.done));
    }
    batch.losses = std::exchange(lost, {});
    // At the end also windows that are not over yet.
    batch.folded = fold.take(clock->now() + (stopping ? options.flood.window : Duration()));
    batch.last = stopping && queue.empty();
    return batch;
}

/// A program that ends while it cannot write must not take the count along.
void Writer::Impl::note_losses(Lock& lock) {
    if (lost.count() == noted) {
        return;
    }
    const Losses now = lost;
    noted = now.count();
    lock.unlock();
    journal->note_losses(now);
    lock.lock();
}

void Writer::Impl::run() {
    Lock lock(mutex);
    for (bool last = false; !last;) {
        wait_for_work(lock);
        Batch batch = take_batch();
        last = batch.last;
        in_flight_since = std::chrono::steady_clock::now();
        writing = true;
        lock.unlock();
        changed.notify_all(); // the watcher has something to watch
        write_batch(batch);
        lock.lock();
        note_losses(lock);
    }
    if (journal->pending_bytes() == 0 && lost.count() == 0) {
        lock.unlock();
        journal->close();
        lock.lock();
    }
    stopped = true;
    changed.notify_all();
}

/// On a full disk the reserve is for what must not be without a record.
bool Writer::Impl::worth_writing(const Entry& entry) const {
    return !journal->full() || entry.event.kind() != EventClass::inference;
}

Io<void> Writer::Impl::put(bool sync, WallTime now) {
    if (options.mode != Mode::async || sync) {
        unsynced_since = TimePoint::max();
        return journal->commit(now);
    }
    if (unsynced_since == TimePoint::max() && journal->pending_bytes() > 0) {
        unsynced_since = clock->now();
    }
    return journal->write(now);
}

void Writer::Impl::add_own(const Batch& batch, WallTime now) {
    if (batch.losses.count() > 0) {
        journal->add(make_event(batch.losses), now);
    }
    for (const FloodFold::Folded& one : batch.folded) {
        const Suppressed event{one.type, one.source, one.count, one.first, one.last};
        journal->add(make_event(event), now);
    }
}

void Writer::Impl::write_batch(const Batch& batch) {
    const WallTime now = clock->wall();
    const TimePoint mono = clock->now();
    const bool due =
        unsynced_since != TimePoint::max() && (mono - unsynced_since >= options.sync_interval ||
                                               journal->pending_bytes() > unsynced_bytes_max);
    if (journal->pending_bytes() == 0) {
        journal->prepare(now);
        unsynced.clear();
    }
    if (tended == TimePoint::min() || mono - tended >= tick) {
        tended = mono;
        journal->tend(now);
    }
    add_own(batch, now);
    Written result;
    const std::size_t before = unsynced.size();
    for (const Entry& entry : batch.entries) {
        const bool skip = !worth_writing(entry);
        result.skipped.push_back(skip);
        if (skip) {
            result.lost.add(entry.event.kind(), entry.at, "the disk is full");
        } else {
            journal->add(entry.event, entry.at);
            unsynced.push_back(entry.event.kind());
        }
    }
    result.count = unsynced.size() - before;
    result.done = put(due || batch.last, now);
    if (!result.done) {
        // Also what async had acknowledged and the kernel could not keep.
        for (const EventClass kind : unsynced) {
            result.lost.add(kind, now, "the disk failed");
        }
        unsynced.clear();
        result.lost_now = batch.losses;
    }
    complete(std::move(result));
}

void Writer::Impl::complete(Written result) {
    std::vector<Done> all;
    {
        const std::lock_guard lock(mutex);
        writing = false;
        counts.stuck = false;
        counts.failing = !result.done;
        counts.full = journal->full();
        counts.syncs = journal->syncs();
        counts.recorded += result.done ? result.count : 0;
        counts.lost += result.lost.count();
        lost.add(result.lost);
        lost.add(result.lost_now);
        all = std::exchange(in_flight, {}); // empty when the watcher was faster
    }
    changed.notify_all();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all[i]) {
            continue;
        }
        if (!result.done) {
            all[i](unavailable("cannot be written: " + describe(result.done.error())));
        } else if (result.skipped[i]) {
            all[i](unavailable("has no space left"));
        } else {
            all[i]({});
        }
    }
}

/// Tells everybody who waits that the disk does not answer.
void Writer::Impl::give_up() {
    std::vector<Done> all;
    {
        const std::lock_guard lock(mutex);
        counts.stuck = true;
        all = std::exchange(in_flight, {});
        for (Entry& entry : queue) {
            lose(entry.event.kind(), entry.at, "the disk did not answer");
            all.push_back(std::move(entry.done));
        }
        queue.clear();
        queue_bytes = 0;
    }
    tell({Notice::Level::error, "audit_disk_stuck", "the audit log's disk does not answer"});
    for (Done& done : all) {
        if (done) {
            done(unavailable("does not answer"));
        }
    }
}

void Writer::Impl::watch() {
    Lock lock(mutex);
    while (!stopped) {
        if (!writing || counts.stuck) {
            changed.wait(lock);
            continue;
        }
        const auto due = in_flight_since + options.stuck_after;
        if (std::chrono::steady_clock::now() < due) {
            changed.wait_until(lock, due);
            continue;
        }
        lock.unlock();
        give_up();
        lock.lock();
    }
}

} // namespace rbee::audit
