#include "rbee/audit/journal.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/text.hpp"

#include <fmt/format.h>

#include <utility>

namespace rbee::audit {

Journal::Journal(Folder& folder, JournalOptions options, Recovered recovered, Observer observer)
    : folder_(folder), options_(std::move(options)), observer_(std::move(observer)),
      chain_(options_.service, recovered.at.clone()), older_(std::move(recovered.segments)),
      lost_(recovered.lost), folder_bytes_(recovered.folder_bytes) {
    chain_.save(durable_);
    if (recovered.append) {
        name_ = older_.back();
        older_.pop_back();
        synced_bytes_ = recovered.bytes;
    }
}

Result<std::unique_ptr<Journal>>
Journal::open(Folder& folder, JournalOptions options, WallTime now, Observer observer) {
    auto recovered = recover(folder, options.service, now);
    if (!recovered) {
        return error_of(recovered);
    }
    const Recovered& found = *recovered;
    std::unique_ptr<Journal> journal(new Journal(
        folder,
        std::move(options),
        {.at = found.at.clone(),
         .segments = found.segments,
         .append = found.append,
         .bytes = found.bytes,
         .folder_bytes = found.folder_bytes,
         .lost = found.lost,
         .head = {},
         .torn = {},
         .broken = {}},
        std::move(observer)
    ));
    if (const auto begun = journal->begin(found, now); !begun) {
        return fail(
            Errc::io, fmt::format("audit log: cannot be written: {}", describe(begun.error()))
        );
    }
    return journal;
}

Io<void> Journal::begin(const Recovered& recovered, WallTime now) {
    auto head = folder_.open_update(head_file);
    if (!head) {
        return std::unexpected(head.error());
    }
    head_ = std::move(*head);
    for (SegmentName& name : older_) {
        if (name.sealed.empty()) { // the last run was killed between making and sealing
            archive(name, now);
            name.sealed = stamp_of(now);
        }
    }
    if (recovered.append) {
        auto segment = folder_.open_append(name_.file());
        if (!segment) {
            return std::unexpected(segment.error());
        }
        segment_ = std::move(*segment);
        // What was read may not be on the disk yet; from here on it counts as durable.
        if (const auto synced = folder_.sync(segment_.get()); !synced) {
            return synced;
        }
    } else if (const auto made = new_segment(now); !made) {
        return made;
    }
    take_ballast();
    mark_durable();
    prepare(now);
    add_start(recovered, now);
    const auto started = commit(now);
    if (started) {
        note_losses({});
    }
    return started;
}

void Journal::add_start(const Recovered& recovered, WallTime now) {
    AuditStart start{
        .mode = options_.mode,
        .version = RBEE_VERSION,
        .clean = recovered.clean,
        .recovered_seq = recovered.at.seq,
        .head = recovered.head,
        .torn_file = {},
        .torn_sha256 = {},
    };
    std::string digest;
    if (recovered.torn) {
        digest = to_hex(recovered.torn->digest);
        start.torn_file = recovered.torn->file;
        start.torn_bytes = recovered.torn->bytes;
        start.torn_sha256 = digest;
        tell(
            Notice::Level::warning,
            "audit_torn_tail",
            fmt::format(
                "{} bytes that were never durable were set aside in {}",
                start.torn_bytes,
                start.torn_file
            )
        );
    }
    add(make_event(start), now);
    const auto& [control, security, inference] = recovered.lost;
    if (control + security + inference > 0) {
        const Losses before{
            .control = control,
            .security = security,
            .inference = inference,
            .first = now,
            .last = now,
            .reason = "the run before this one ended while it could not write",
        };
        add(make_event(before), now);
    }
    if (recovered.broken) {
        const auto& [segment, fault] = *recovered.broken;
        add(make_event(ChainBreak{segment, fault.id, fault.reason}), now);
        tell(
            Notice::Level::error,
            "audit_chain_break",
            fmt::format("{} in {} {}; run `rbee audit verify`", fault.id, segment, fault.reason)
        );
    }
}

void Journal::add(const Event& event, WallTime at) {
    chain_.append(pending_, event.body(), at);
}

void Journal::prepare(WallTime now) {
    RBEE_ASSERT(pending_.empty());
    if (synced_bytes_ == 0 || damaged_) {
        return;
    }
    if (synced_bytes_ >= options_.segment_bytes_max) {
        rotate("size", now);
    } else if (day_of(now) > name_.day) {
        rotate("day", now);
    }
}

void Journal::archive(SegmentName name, WallTime now) {
    const std::string from = name.file();
    name.sealed = stamp_of(now);
    // The chain is what protects a segment; a disk that refuses this loses nothing.
    const auto sealed = folder_.seal(from);
    const auto renamed = folder_.rename(from, name.file());
    if (!sealed || !renamed) {
        tell(Notice::Level::warning, "audit_seal_failed", "cannot seal the segment " + from);
    }
}

Io<void> Journal::new_segment(WallTime now) {
    const SegmentName name{durable_.seq + 1, day_of(now), {}};
    auto made = folder_.create(name.file());
    if (!made) {
        return std::unexpected(made.error());
    }
    // Without its name a file is lost after a power cut, whatever was synced to it.
    if (const auto named = folder_.sync_names(); !named) {
        best_effort(folder_.remove(name.file()));
        return named;
    }
    name_ = name;
    segment_ = std::move(*made);
    synced_bytes_ = 0;
    return {};
}

void Journal::rotate(std::string_view reason, WallTime now) {
    const SegmentName old = name_;
    const std::uint64_t bytes = synced_bytes_;
    if (const auto made = new_segment(now); !made) {
        tell(
            Notice::Level::warning,
            "audit_rotation_failed",
            "goes on in " + old.file() + ": " + describe(made.error())
        );
        return;
    }
    archive(old, now);
    older_.push_back(old);
    older_.back().sealed = stamp_of(now);
    add(make_event(Rotated{older_.back().file(), bytes, reason}), now);
    tell(Notice::Level::info, "audit_rotated", "sealed " + older_.back().file());
    prune(now);
}

void Journal::prune(WallTime now) {
    const auto limit = std::chrono::days(options_.retention_days);
    std::vector<std::string> names;
    if (options_.retention_days == 0) {
        return;
    }
    const std::string oldest = stamp_of(now - limit);
    for (const SegmentName& name : older_) {
        if (name.sealed >= oldest) {
            break;
        }
        names.push_back(name.file());
    }
    if (names.empty()) {
        return;
    }
    const bool all = names.size() == older_.size();
    const std::string next = all ? name_.file() : older_[names.size()].file();
    const std::uint64_t last = (all ? name_ : older_[names.size()]).first - 1;
    const auto content = folder_.read(next);
    const auto link =
        content ? link_of(std::string_view(*content).substr(0, content->find('\n'))) : std::nullopt;
    const Sha256 hash = link.value_or(durable_.hash); // nothing in the new one yet
    add(make_event(Pruned{names, last, to_hex(hash)}), now);
    if (!commit(now)) {
        return;
    }
    for (const std::string& name : names) {
        if (!folder_.remove(name)) {
            tell(Notice::Level::warning, "audit_prune_failed", "cannot delete " + name);
        }
    }
    best_effort(folder_.sync_names()); // what comes back after a power cut is deleted next time
    older_.erase(older_.begin(), older_.begin() + static_cast<std::ptrdiff_t>(names.size()));
    tell(Notice::Level::info, "audit_pruned", fmt::format("{} old segments deleted", names.size()));
}

void Journal::note_losses(const Losses& losses) {
    lost_ = {losses.control, losses.security, losses.inference};
    write_head(false);
}

void Journal::close() {
    RBEE_ASSERT(pending_.empty());
    write_head(true);
    best_effort(folder_.sync(head_.get()));
}

void Journal::tell(Notice::Level level, std::string event, std::string text) const {
    if (observer_) {
        observer_({level, std::move(event), std::move(text)});
    }
}

} // namespace rbee::audit
