#include "rbee/audit/verify.hpp"

#include "rbee/audit/files.hpp"
#include "rbee/audit/folder.hpp"
#include "rbee/audit/line_reader.hpp"
#include "rbee/base/text.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace rbee::audit {
namespace {

namespace json = boost::json;

constexpr std::string_view key_prefix = "rbee-audit-key-";

/// Goes through the segments in order.
class Verifier {
public:
    Verifier(const VerifyOptions& options, Listing listing)
        : options_(options), listing_(std::move(listing)), chain_(listing_.service, ChainPoint{}) {
        report_.service = listing_.service;
        report_.live = has_writer(options.folder);
    }

    Result<Report> run() {
        if (!listing_.segments.empty() && listing_.segments.front().first > 1) {
            begin_behind_pruned();
        }
        for (const SegmentName& name : listing_.segments) {
            if (const auto read = segment(name); !read) {
                return error_of(read);
            }
        }
        finish();
        return std::move(report_);
    }

private:
    void begin_behind_pruned();
    Result<void> segment(const SegmentName& name);
    void record(const LineReader::Line& line, const SegmentName& name);
    void good(const LineView& view, std::string_view line);
    void own(std::string_view type, std::string_view line);
    void bad_line(const LineReader::Line& line, const SegmentName& name, ChainFault fault);
    void check_witness(const Witness& witness, std::string_view who);
    void missing(std::string reason);
    void finish();

    const VerifyOptions& options_;
    Listing listing_;
    Chain chain_;
    Report report_;
    std::uint64_t line_ = 0;
    bool prune_declared_ = true;
    std::uint64_t first_seq_ = 1;
    Sha256 first_link_{};
    std::string first_segment_;
};

/// The chain begins at the first record that is left; that this is right must be said by a record
/// of the deletion further on.
void Verifier::begin_behind_pruned() {
    const SegmentName& name = listing_.segments.front();
    first_segment_ = name.file();
    auto reader = LineReader::open(options_.folder + "/" + first_segment_);
    const auto line = reader ? reader->next() : std::nullopt;
    const auto link = line ? link_of(line->text) : std::nullopt;
    if (!link) {
        return; // the first line is bad, which is found anyway
    }
    first_seq_ = name.first;
    first_link_ = *link;
    prune_declared_ = false;
    ChainPoint point;
    point.seq = name.first - 1;
    point.hash = *link;
    chain_.restore(point);
    report_.pruned_to = point.seq;
    if (options_.key && options_.key->seq <= point.seq) {
        chain_.set_key(options_.key->key.expose());
        chain_.skip_keys(point.seq + 1 - options_.key->seq);
    }
}

Result<void> Verifier::segment(const SegmentName& name) {
    auto reader = LineReader::open(options_.folder + "/" + name.file());
    if (!reader) {
        return fail(Errc::io, fmt::format("cannot read {}", name.file()));
    }
    ++report_.segments;
    line_ = 0;
    if (!report_.bad && name.first != chain_.seq() + 1) {
        report_.bad = {
            name.file(),
            1,
            {record_id(listing_.service, chain_.seq() + 1),
             "is missing: the segment begins with a later or an earlier one"}
        };
    }
    while (const auto line = reader->next()) {
        ++line_;
        record(*line, name);
    }
    return reader->failed() ? Result<void>(fail(Errc::io, "cannot read " + name.file()))
                            : Result<void>();
}

void Verifier::record(const LineReader::Line& line, const SegmentName& name) {
    if (report_.bad || report_.torn_bytes > 0) {
        if (report_.torn_bytes > 0) {
            report_.torn_bytes += line.text.size() + (line.complete ? 1 : 0);
        } else {
            ++report_.unverified;
        }
        return;
    }
    if (options_.key && chain_.seq() + 1 == options_.key->seq) {
        chain_.set_key(options_.key->key.expose());
    }
    if (!line.complete) {
        bad_line(line, name, {record_id(listing_.service, chain_.seq() + 1), "is not whole"});
        return;
    }
    auto view = chain_.check(line.text);
    if (!view) {
        bad_line(line, name, std::move(view.error()));
        return;
    }
    good(*view, line.text);
}

/// An end that was never durable is torn; what was durable and is wrong was changed.
void Verifier::bad_line(const LineReader::Line& line, const SegmentName& name, ChainFault fault) {
    const bool last = name.file() == listing_.segments.back().file();
    const bool known = listing_.head && options_.use_head;
    const bool beyond = known ? chain_.seq() >= listing_.head->point.seq : !line.complete;
    if (!last || !beyond) {
        report_.bad = {name.file(), line_, std::move(fault)};
        return;
    }
    if (line.complete || !report_.live) { // a live log is read while it is written
        report_.torn_bytes = line.text.size() + (line.complete ? 1 : 0);
    }
}

void Verifier::good(const LineView& view, std::string_view line) {
    ++report_.records;
    report_.macs += chain_.keyed() ? 1 : 0;
    report_.macs_unchecked = report_.macs_unchecked || (view.has_mac && !chain_.keyed());
    if (listing_.head && options_.use_head) {
        check_witness({listing_.head->point.seq, listing_.head->point.hash}, "the head");
    }
    if (options_.witness) {
        check_witness(*options_.witness, "the witness");
    }
    if (view.event_type.starts_with("audit.")) {
        own(view.event_type, line);
    }
}

void Verifier::check_witness(const Witness& witness, std::string_view who) {
    if (chain_.seq() == witness.seq && chain_.hash() != witness.hash && !report_.bad) {
        report_.bad = {
            {},
            line_,
            {record_id(listing_.service, witness.seq), fmt::format("is not the one {} knows", who)}
        };
    }
}

/// What the log says about itself.
void Verifier::own(std::string_view type, std::string_view line) {
    if (type != "audit.gap" && type != "audit.pruned") {
        return;
    }
    boost::system::error_code error;
    const json::value value = json::parse(json::string_view(line.data(), line.size()), error);
    const json::value* details = error ? nullptr : value.find_pointer("/details", error);
    if (details == nullptr || !details->is_object()) {
        return;
    }
    if (type == "audit.gap") {
        const json::value* count = details->as_object().if_contains("count");
        ++report_.gaps;
        report_.gap_events +=
            count != nullptr ? count->to_number<std::uint64_t>(error) : std::uint64_t{0};
        return;
    }
    const json::value* seq = details->as_object().if_contains("last_seq");
    const json::value* hash = details->as_object().if_contains("last_hash");
    if (seq != nullptr && hash != nullptr && hash->is_string()) {
        const std::string hex(hash->as_string());
        prune_declared_ =
            prune_declared_ ||
            (seq->to_number<std::uint64_t>(error) == first_seq_ - 1 && hex == to_hex(first_link_));
    }
}

void Verifier::missing(std::string reason) {
    if (!report_.bad) {
        const std::string where =
            listing_.segments.empty() ? std::string() : listing_.segments.back().file();
        report_.bad = {
            where, line_ + 1, {record_id(listing_.service, chain_.seq() + 1), std::move(reason)}
        };
    }
}

void Verifier::finish() {
    const std::uint64_t head =
        listing_.head && options_.use_head ? listing_.head->point.seq : std::uint64_t{0};
    if (head > chain_.seq()) {
        missing(fmt::format("is missing, like all up to the head, {}", head));
    }
    if (options_.witness && options_.witness->seq > chain_.seq()) {
        missing(fmt::format("is missing, like all up to the witness, {}", options_.witness->seq));
    }
    if (!prune_declared_ && !report_.bad) {
        report_.bad = {
            first_segment_,
            1,
            {record_id(listing_.service, 1), "is missing, and no record says that it was deleted"}
        };
    }
    if (listing_.head && options_.use_head) {
        const auto& [control, security, inference] = listing_.head->lost;
        const std::uint64_t lost = control + security + inference;
        report_.gaps += lost > 0 ? 1 : 0;
        report_.gap_events += lost;
    }
    report_.last = {chain_.seq(), chain_.hash()};
    report_.last_id = record_id(listing_.service, chain_.seq());
    if (report_.bad) {
        report_.verdict = Verdict::tampered;
        report_.torn_bytes = 0;
    } else if (report_.torn_bytes > 0) {
        report_.verdict = Verdict::torn;
    } else if (report_.gaps > 0) {
        report_.verdict = Verdict::gap;
    }
}

} // namespace

Secret FirstKey::format() const {
    Secret out = Secret::of_size(key_prefix.size() + 16 + 1 + 2 * key.size());
    char* end = fmt::format_to(out.writable(), "{}{:016x}-", key_prefix, seq);
    for (const char byte : key.expose()) {
        end = fmt::format_to(end, "{:02x}", static_cast<unsigned char>(byte));
    }
    return out;
}

std::optional<FirstKey> FirstKey::parse(std::string_view text) {
    text = trim(text);
    if (!text.starts_with(key_prefix) || text.size() != key_prefix.size() + 16 + 1 + 64) {
        return std::nullopt;
    }
    text.remove_prefix(key_prefix.size());
    const auto seq = sequence_of(fmt::format("audit-x-{}", text.substr(0, 16)));
    auto key = parse_sha256(text.substr(17));
    if (!seq || *seq == 0 || text[16] != '-' || !key) {
        return std::nullopt;
    }
    return FirstKey{
        *seq, Secret::copy_of({reinterpret_cast<const char*>(key->data()), key->size()})
    };
}

std::optional<Witness> Witness::parse(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view name = text.substr(0, colon);
    const auto seq = name.starts_with("audit-") ? sequence_of(name) : parse_u64(name);
    const auto hash = parse_sha256(text.substr(colon + 1));
    return seq && hash ? std::optional(Witness{*seq, *hash}) : std::nullopt;
}

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
    case Verdict::ok:
        return "ok";
    case Verdict::tampered:
        return "tampered";
    case Verdict::torn:
        return "torn";
    case Verdict::gap:
        break;
    }
    return "gap";
}

Result<Report> verify(const VerifyOptions& options) {
    const auto once = [&]() -> Result<Report> {
        auto listing = list_log(options.folder);
        return listing ? Verifier(options, std::move(*listing)).run()
                       : Result<Report>(error_of(listing));
    };
    auto report = once();
    // A segment that was sealed meanwhile has another name now.
    const bool moved = !report && report.error().code == Errc::io && has_writer(options.folder);
    return moved ? once() : report;
}

} // namespace rbee::audit
