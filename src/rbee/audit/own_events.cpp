#include "rbee/audit/own_events.hpp"

#include <algorithm>
#include <utility>

namespace rbee::audit {

void Losses::add(EventClass kind, WallTime at, std::string_view why) {
    Losses one;
    one.control = kind == EventClass::control ? 1 : 0;
    one.security = kind == EventClass::security ? 1 : 0;
    one.inference = kind == EventClass::inference ? 1 : 0;
    one.first = at;
    one.last = at;
    one.reason = why;
    add(one);
}

void Losses::add(const Losses& other) {
    if (other.count() == 0) {
        return;
    }
    if (count() == 0) {
        *this = other;
        return;
    }
    reason = first <= other.first ? reason : other.reason;
    first = std::min(first, other.first);
    last = std::max(last, other.last);
    control += other.control;
    security += other.security;
    inference += other.inference;
}

Event make_event(const AuditStart& event) {
    EventBuilder out("audit.start", EventClass::control);
    out.text("mode", event.mode).text("version", event.version).flag("clean", event.clean);
    out.number("recovered_seq", event.recovered_seq).text("head", event.head);
    if (!event.torn_file.empty()) {
        out.text("torn_file", event.torn_file).number("torn_bytes", event.torn_bytes);
        out.text("torn_sha256", event.torn_sha256);
    }
    return std::move(out).build();
}

Event make_event(const AuditStop& event) {
    EventBuilder out("audit.stop", EventClass::control);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const ChainBreak& event) {
    EventBuilder out("audit.chain_break", EventClass::control);
    out.text("segment", event.segment).text("record", event.record).text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const Losses& event) {
    EventBuilder out("audit.gap", EventClass::control);
    out.number("count", event.count()).number("control", event.control);
    out.number("security", event.security).number("inference", event.inference);
    out.text("first", to_rfc3339(event.first)).text("last", to_rfc3339(event.last));
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const Rotated& event) {
    EventBuilder out("audit.rotated", EventClass::control);
    out.text("previous_segment", event.previous_segment).number("bytes", event.bytes);
    out.text("reason", event.reason);
    return std::move(out).build();
}

Event make_event(const Pruned& event) {
    EventBuilder out("audit.pruned", EventClass::control);
    out.number("last_seq", event.last_seq).text("last_hash", event.last_hash);
    out.list("segments", event.segments);
    return std::move(out).build();
}

Event make_event(const StorageFailed& event) {
    EventBuilder out("audit.storage_failed", EventClass::control);
    out.text("segment", event.segment).text("error", event.error);
    return std::move(out).build();
}

Event make_event(const DiskFull& event) {
    EventBuilder out("audit.disk_full", EventClass::control);
    out.number("reserve_bytes", event.reserve_bytes);
    return std::move(out).build();
}

Event make_event(const DiskLow& event) {
    EventBuilder out("audit.disk_low", EventClass::control);
    out.text("level", event.level).number("free_bytes", event.free_bytes);
    out.number("folder_bytes", event.folder_bytes);
    return std::move(out).build();
}

Event make_event(const Suppressed& event) {
    EventBuilder out("audit.suppressed", EventClass::security);
    out.text("suppressed_type", event.event_type).text("ip", event.source);
    out.number("suppressed", event.count);
    out.text("first", to_rfc3339(event.first)).text("last", to_rfc3339(event.last));
    return std::move(out).build();
}

} // namespace rbee::audit
