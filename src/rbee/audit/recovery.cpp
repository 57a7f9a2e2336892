#include "rbee/audit/recovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace rbee::audit {
namespace {

std::unexpected<Error> io_failure(std::string_view what, std::errc error) {
    return fail(Errc::io, fmt::format("audit log: {}: {}", what, describe(error)));
}

/// Checks the last segment line by line against the head.
class LastSegment {
public:
    LastSegment(const SegmentName& name, const std::optional<Head>& head, std::string service)
        : name_(name.file()), head_(head), chain_(std::move(service), start(name, head)) {
        reached_ = !head_ || !here();
        if (head_ && !here() && !head_->point.key.empty()) {
            chain_.set_key(head_->point.key.expose());
            chain_.skip_keys(name.first - 1 - head_->point.seq);
        }
    }

    /// Returns how many bytes are good.
    std::size_t check(std::string_view content) {
        if (const auto link = link_of(content.substr(0, content.find('\n')));
            link && !(head_ && head_->point.seq == chain_.seq())) {
            chain_.follow(*link); // what came before is the business of verify
        }
        std::size_t at = 0;
        while (at < content.size() && meet_head(at)) {
            const std::size_t end = content.find('\n', at);
            if (end == std::string_view::npos) {
                fault_ = ChainFault{record_id(chain_.service(), chain_.seq() + 1), "is not whole"};
                complete_ = false;
                break;
            }
            const auto line = chain_.check(content.substr(at, end - at));
            if (!line) {
                fault_ = line.error();
                break;
            }
            has_macs_ = has_macs_ || line->has_mac;
            at = end + 1;
        }
        if (!fault_) {
            meet_head(at);
        }
        if (!fault_ && head_ && head_->point.seq == chain_.seq() &&
            head_->point.hash != chain_.hash()) {
            reached_ = false;
            fault_ = ChainFault{
                record_id(chain_.service(), chain_.seq()), "is not the one that was written"
            };
        }
        if (!fault_ && head_ && head_->point.seq > chain_.seq()) {
            fault_ = ChainFault{
                record_id(chain_.service(), chain_.seq() + 1),
                fmt::format("is missing, like all up to {}", head_->point.seq)
            };
        }
        return at;
    }

    [[nodiscard]] const std::optional<ChainFault>& fault() const { return fault_; }
    [[nodiscard]] bool has_macs() const { return has_macs_; }
    [[nodiscard]] const Chain& chain() const { return chain_; }
    /// The fault is in what was durable.
    [[nodiscard]] bool was_durable() const {
        // Without a head nobody knows; a whole line that is wrong is then taken for the worse.
        return head_ ? head_->point.seq > chain_.seq() || !reached_ : complete_;
    }

private:
    [[nodiscard]] bool here() const { return head_ && head_->segment == name_; }

    static ChainPoint start(const SegmentName& name, const std::optional<Head>& head) {
        ChainPoint point;
        point.seq = name.first - 1;
        if (head && head->point.seq == point.seq) {
            point.hash = head->point.hash;
        }
        return point;
    }

    /// At the head's offset the chain must be where the head says. False when it is not.
    bool meet_head(std::size_t at) {
        if (reached_ || !head_ || at != head_->offset) {
            return true;
        }
        if (chain_.seq() != head_->point.seq || chain_.hash() != head_->point.hash) {
            fault_ = ChainFault{
                record_id(chain_.service(), head_->point.seq), "is not the one that was written"
            };
            return false;
        }
        reached_ = true;
        if (!head_->point.key.empty()) {
            chain_.set_key(head_->point.key.expose());
        }
        return true;
    }

    std::string name_;
    const std::optional<Head>& head_;
    Chain chain_;
    bool reached_ = false; ///< The head's point was met, or is not in this segment.
    bool has_macs_ = false;
    bool complete_ = true;
    std::optional<ChainFault> fault_;
};

Result<void> set_aside(Folder& folder, Recovered& out, std::string_view rest, WallTime now) {
    const std::string segment = out.segments.back().file();
    Recovered::Torn torn{
        fmt::format("{:016x}.torn-{}", out.at.seq + 1, stamp_of(now)), rest.size(), sha256(rest)
    };
    // A crash right here leaves the same bytes in both files; the next start does it again.
    if (const auto old = folder.remove(torn.file);
        !old && old.error() != std::errc::no_such_file_or_directory) {
        return io_failure("cannot set a torn end aside", old.error());
    }
    const auto file = folder.create(torn.file);
    if (!file) {
        return io_failure("cannot set a torn end aside", file.error());
    }
    while (!rest.empty()) {
        const auto count = folder.write(file->get(), rest);
        if (!count) {
            return io_failure("cannot set a torn end aside", count.error());
        }
        rest.remove_prefix(*count);
    }
    Io<void> done = folder.sync(file->get());
    done = done ? folder.seal(torn.file) : done;
    done = done ? folder.sync_names() : done;
    done = done ? folder.truncate(segment, out.bytes) : done;
    if (!done) {
        return io_failure("cannot set a torn end aside", done.error());
    }
    out.torn = std::move(torn);
    return {};
}

/// The highest number that a line behind the fault claims.
std::uint64_t highest_seq(std::string_view rest) {
    std::uint64_t highest = 0;
    for (std::size_t at = 0; at != std::string_view::npos && at < rest.size();) {
        highest = std::max(highest, claimed_sequence(rest.substr(at)).value_or(0));
        at = rest.find('\n', at);
        at = at == std::string_view::npos ? at : at + 1;
    }
    return highest;
}

/// Which log is recovered, and when.
struct Task {
    Folder& folder;
    const std::string& service;
    WallTime now;
};

Result<void> check_last(const Task& task, Recovered& out, const std::optional<Head>& head) {
    const SegmentName& name = out.segments.back();
    const auto content = task.folder.read(name.file());
    if (!content) {
        return io_failure("cannot read " + name.file(), content.error());
    }
    LastSegment last(name, head, task.service);
    out.bytes = last.check(*content);
    if (!head && last.has_macs()) {
        return fail(
            Errc::corrupt,
            "audit log: the file 'head' with the key is lost; move the folder away and "
            "begin a new log"
        );
    }
    last.chain().save(out.at);
    const auto rest = std::string_view(*content).substr(out.bytes);
    const std::optional<ChainFault>& fault = last.fault();
    if (!fault) {
        out.append = name.sealed.empty();
        return {};
    }
    if (!last.was_durable()) {
        out.append = name.sealed.empty();
        return set_aside(task.folder, out, rest, task.now);
    }
    out.broken = {name.file(), *fault};
    out.bytes = content->size();
    out.at.seq = std::max({out.at.seq, head ? head->point.seq : 0, highest_seq(rest)});
    if (head) {
        out.at.hash = head->point.hash;
        out.at.key = head->point.key.clone();
    }
    return {};
}

} // namespace

std::optional<Head> read_head(Folder& folder) {
    auto text = folder.read(head_file);
    if (!text) {
        return std::nullopt;
    }
    const Secret content(std::move(*text));
    return Head::parse(content.expose());
}

Result<Recovered> recover(Folder& folder, const std::string& service, WallTime now) {
    const auto files = folder.list();
    if (!files) {
        return io_failure("cannot list its folder", files.error());
    }
    Recovered out;
    std::vector<std::string> names;
    for (const Folder::File& file : *files) {
        names.push_back(file.name);
        out.folder_bytes += SegmentName::parse(file.name) ? file.bytes : 0;
    }
    out.segments = segments_of(names);
    const auto head = read_head(folder);
    if (head && head->service != service) {
        return fail(
            Errc::conflict, fmt::format("audit log: the folder is that of {}", head->service)
        );
    }
    if (head) {
        out.head = "found";
        out.clean = head->clean || head->point.seq == 0;
        out.at = head->point.clone();
        out.lost = head->lost;
    } else if (!out.segments.empty()) {
        out.head = "missing";
        out.clean = false;
    }
    if (!out.segments.empty()) {
        const auto checked = check_last({folder, service, now}, out, head);
        return checked ? Result<Recovered>(std::move(out)) : Result<Recovered>(error_of(checked));
    }
    if (head && head->point.seq > 0) {
        out.broken = {
            head->segment,
            ChainFault{record_id(service, 1), "is missing, like all records: no segment is there"}
        };
    }
    return out;
}

} // namespace rbee::audit
