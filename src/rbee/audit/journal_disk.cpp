#include "rbee/audit/journal.hpp"
#include "rbee/base/text.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

namespace rbee::audit {

Io<void> Journal::write(WallTime now) {
    if (const auto ready = repair(now); !ready) {
        return remedy(ready.error(), now);
    }
    const auto done = hand_over();
    return done ? done : remedy(done.error(), now);
}

Io<void> Journal::commit(WallTime now) {
    if (pending_.empty()) {
        return {};
    }
    auto done = repair(now);
    done = done ? flush() : done;
    return done ? done : remedy(done.error(), now);
}

Io<void> Journal::hand_over() {
    while (written_ < pending_.size()) {
        const auto count =
            folder_.write(segment_.get(), std::string_view(pending_).substr(written_));
        if (!count) {
            return std::unexpected(count.error());
        }
        written_ += *count;
    }
    return {};
}

Io<void> Journal::flush() {
    auto done = hand_over();
    done = done ? folder_.sync(segment_.get()) : done;
    if (done) {
        mark_durable();
    }
    return done;
}

void Journal::mark_durable() {
    synced_bytes_ += pending_.size();
    folder_bytes_ += pending_.size();
    pending_.clear();
    written_ = 0;
    chain_.save(durable_);
    ++syncs_;
    write_head(false);
}

void Journal::write_head(bool clean) {
    const Head head{
        .service = options_.service,
        .point = durable_.clone(),
        .segment = name_.file(),
        .offset = synced_bytes_,
        .clean = clean,
        .lost = lost_,
    };
    const Secret text = head.format();
    // An older head is only less strict about the end of the log.
    best_effort(folder_.overwrite(head_.get(), text.expose()));
}

/// Brings the segment back to its last durable byte, or begins a new one.
Io<void> Journal::repair(WallTime now) {
    if (!damaged_) {
        return {};
    }
    segment_.reset();
    written_ = 0;
    const bool empty = synced_bytes_ == 0;
    // The old end must be gone for good before its records are written elsewhere, or a power cut
    // could leave them twice.
    if (const auto cut = folder_.truncate(name_.file(), synced_bytes_); !cut) {
        return cut;
    }
    if (move_on_) {
        const SegmentName old = name_;
        if (empty) {
            best_effort(folder_.remove(old.file()));
        }
        if (const auto made = new_segment(now); !made) {
            return made;
        }
        if (!empty) {
            archive(old, now);
            older_.push_back(old);
            older_.back().sealed = stamp_of(now);
        }
    } else {
        auto again = folder_.open_append(name_.file());
        if (!again) {
            return std::unexpected(again.error());
        }
        segment_ = std::move(*again);
    }
    damaged_ = false;
    move_on_ = false;
    return {};
}

/// One more try after a failure: on a full disk with the reserve given up, else in a new segment,
/// where all that is not durable is written again. Never a second sync on the same descriptor.
Io<void> Journal::remedy(std::errc error, WallTime now) {
    const std::string why = describe(error);
    const std::string segment = name_.file();
    const bool no_space =
        error == std::errc::no_space_on_device || static_cast<int>(error) == EDQUOT;
    damaged_ = true;
    bool worth_it = true;
    if (no_space) {
        worth_it = ballast_ && folder_.remove(ballast_file).has_value();
        ballast_ = false;
        full_ = true;
        if (worth_it) {
            add(make_event(DiskFull{options_.ballast_bytes}), now);
        }
        tell(Notice::Level::error, "audit_disk_full", "the disk is full: " + why);
    } else {
        move_on_ = true;
        add(make_event(StorageFailed{segment, why}), now);
        tell(Notice::Level::error, "audit_storage_failed", segment + ": " + why);
    }
    Io<void> done = worth_it ? repair(now) : std::unexpected(error);
    done = done ? flush() : done;
    if (done) {
        return done;
    }
    damaged_ = true;
    move_on_ = move_on_ || !no_space;
    // No half a record for those who read now; repair() makes sure of it.
    best_effort(folder_.truncate(name_.file(), synced_bytes_));
    chain_.restore(durable_);
    pending_.clear();
    written_ = 0;
    return done;
}

void Journal::take_ballast() {
    const auto space = folder_.space();
    ballast_ = options_.ballast_bytes > 0 && space &&
               space->free_bytes > 2 * options_.ballast_bytes &&
               folder_.reserve(ballast_file, options_.ballast_bytes).has_value();
    if (!ballast_ && options_.ballast_bytes > 0) {
        best_effort(folder_.remove(ballast_file)); // half a reserve is in the way
        tell(Notice::Level::warning, "audit_no_reserve", "no space for the audit log's reserve");
    }
}

void Journal::tend(WallTime now) {
    check_folder_size(now);
    check_free_space(now);
}

void Journal::check_free_space(WallTime now) {
    const auto space = folder_.space();
    if (!space) {
        return;
    }
    if (full_ && space->free_bytes > 4 * options_.ballast_bytes) {
        full_ = false;
        take_ballast();
    }
    const std::uint64_t free = space->free_bytes;
    const bool low = free < options_.free_bytes_low || free < space->total_bytes / 20;
    const int level = low ? 2 : (free < space->total_bytes / 10 ? 1 : 0);
    if (level == free_level_) {
        return;
    }
    const bool worse = level > free_level_;
    free_level_ = level;
    const char* name = level == 2 ? "error" : (level == 1 ? "warning" : "good");
    add(make_event(DiskLow{name, free, folder_bytes_}), now);
    tell(
        worse ? (level == 2 ? Notice::Level::error : Notice::Level::warning) : Notice::Level::info,
        "audit_disk_low",
        fmt::format("{} free on the audit log's disk", human_bytes(free))
    );
}

void Journal::check_folder_size(WallTime now) {
    if (options_.folder_bytes_max == 0) {
        return;
    }
    const std::uint64_t used = folder_bytes_ + pending_.size();
    const std::uint64_t percent = used * 100 / options_.folder_bytes_max;
    const int level = percent >= 99 ? 2 : (percent >= 95 ? 1 : 0);
    if (level <= folder_level_) {
        folder_level_ = level;
        return;
    }
    folder_level_ = level;
    tell(
        level == 2 ? Notice::Level::error : Notice::Level::warning,
        "audit_folder_size",
        fmt::format(
            "the audit log has {} of {}", human_bytes(used), human_bytes(options_.folder_bytes_max)
        )
    );
    if (level == 2 && pending_.empty() && synced_bytes_ > 0 && !damaged_) {
        rotate("folder", now);
    }
}

} // namespace rbee::audit
