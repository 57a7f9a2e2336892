#include "rbee/audit/event.hpp"

#include "rbee/audit/json_text.hpp"
#include "rbee/base/text.hpp"
#include "rbee/domain/text_rules.hpp"
#include "rbee/telemetry/redact.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <utility>

namespace rbee::audit {
namespace {

/// Bytes of the UTF-8 sequence that `text` begins with (RFC 3629), 0 when it is none.
std::size_t sequence_bytes(std::string_view text) {
    const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto follows = [&](std::size_t i) { return i < text.size() && (at(i) & 0xc0U) == 0x80U; };
    const unsigned first = at(0);
    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4 || !follows(1)) {
        return 0;
    }
    if (first < 0xe0) {
        return 2;
    }
    const unsigned second = at(1);
    const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
    const bool outside = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
    if (overlong || outside || !follows(2)) {
        return 0;
    }
    if (first < 0xf0) {
        return 3;
    }
    return follows(3) ? 4 : 0;
}

/// U+2028 and U+2029, which end a line for some readers.
bool is_separator(std::string_view character) {
    return character == "\xe2\x80\xa8" || character == "\xe2\x80\xa9";
}

/// The rule of the encoding that `text` breaks, or nothing.
const char* encoding_fault(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t size = sequence_bytes(text.substr(i));
        if (size == 0) {
            return "is not UTF-8";
        }
        if (is_separator(text.substr(i, size))) {
            return "contains line separators";
        }
        i += size;
    }
    return nullptr;
}

} // namespace

EventBuilder::EventBuilder(std::string_view type, EventClass kind) {
    event_.type_ = type;
    event_.kind_ = kind;
    details_.reserve(256);
}

bool EventBuilder::good(std::string_view name, std::string_view value, bool line_feeds) {
    if (value.empty()) {
        return false;
    }
    if (value.size() > field_bytes_max) {
        refuse(name, fmt::format("exceeds maximum length of {} bytes", field_bytes_max));
        return false;
    }
    if (const auto clean = domain::sanitize(value); !clean) {
        refuse(name, domain::describe(clean.error()));
        return false;
    }
    if (value.find_first_of(line_feeds ? "\r" : "\r\n") != std::string_view::npos) {
        refuse(name, "contains line ends");
        return false;
    }
    if (const char* fault = encoding_fault(value); fault != nullptr) {
        refuse(name, fault);
        return false;
    }
    return true;
}

void EventBuilder::refuse(std::string_view name, std::string rule) {
    if (!event_.fault_) {
        event_.fault_ = FieldFault{std::string(name), std::move(rule)};
    }
}

void EventBuilder::key(std::string_view name) {
    if (!details_.empty()) {
        details_ += ',';
    }
    details_ += '"';
    details_ += name;
    details_ += "\":";
}

EventBuilder& EventBuilder::actor(const Actor& actor) {
    if (good("user_id", actor.user_id, false)) {
        actor_ = actor.user_id;
    }
    text("ip", actor.ip);
    text("auth_method", actor.auth_method);
    return id("session_id", actor.session_id);
}

EventBuilder& EventBuilder::correlation(std::string_view id) {
    if (good("correlation_id", id, false)) {
        correlation_ = id;
    }
    return *this;
}

EventBuilder& EventBuilder::text(std::string_view name, std::string_view value) {
    if (good(name, value, false)) {
        key(name);
        append_json(details_, value);
    }
    return *this;
}

EventBuilder& EventBuilder::id(std::string_view name, std::string_view value) {
    if (value.contains("..") || value.contains('\\')) {
        refuse(name, "path traversal detected");
        return *this;
    }
    return text(name, value);
}

EventBuilder& EventBuilder::prose(std::string_view name, std::string_view value) {
    if (!good(name, value, true)) {
        return *this;
    }
    key(name);
    std::string clean;
    for (const std::string_view line : split(value, '\n')) {
        clean.append(clean.empty() ? "" : "\n").append(telemetry::redact(line));
    }
    append_json(details_, clean);
    return *this;
}

EventBuilder& EventBuilder::path(std::string_view name, std::string_view value) {
    // The query is where people put keys; what it asked for is told by the route.
    const std::string_view bare = value.substr(0, value.find_first_of("?#"));
    if (good(name, bare, false)) {
        key(name);
        append_json(details_, telemetry::redact(bare));
    }
    return *this;
}

EventBuilder& EventBuilder::number(std::string_view name, std::uint64_t value) {
    key(name);
    fmt::format_to(std::back_inserter(details_), "{}", value);
    return *this;
}

EventBuilder&
EventBuilder::optional_number(std::string_view name, std::optional<std::uint64_t> value) {
    return value ? number(name, *value) : *this;
}

EventBuilder& EventBuilder::flag(std::string_view name, bool value) {
    key(name);
    details_ += value ? "true" : "false";
    return *this;
}

EventBuilder& EventBuilder::list(std::string_view name, std::span<const std::string> values) {
    for (const std::string& value : values) {
        if (!value.empty() && !good(name, value, false)) {
            return *this;
        }
    }
    key(name);
    details_ += '[';
    for (const std::string& value : values) {
        details_ += &value == values.data() ? "" : ",";
        append_json(details_, value);
    }
    details_ += ']';
    return *this;
}

EventBuilder& EventBuilder::numbers(std::string_view name, std::span<const std::uint32_t> values) {
    key(name);
    fmt::format_to(std::back_inserter(details_), "[{}]", fmt::join(values, ","));
    return *this;
}

EventBuilder& EventBuilder::fold_by(std::string_view source) {
    event_.flood_source_ = source;
    return *this;
}

Event EventBuilder::build() && {
    if (details_.size() > event_bytes_max) {
        refuse("details", fmt::format("exceeds maximum length of {} bytes", event_bytes_max));
        details_.clear();
    }
    if (event_.fault_) {
        const std::string rest = std::exchange(details_, {});
        key("refused_type");
        append_json(details_, event_.type_);
        key("field");
        append_json(details_, event_.fault_->field);
        key("rule");
        append_json(details_, event_.fault_->rule);
        details_.append(rest.empty() ? "" : ",").append(rest);
        event_.type_ = "audit.event_refused";
    }
    std::string& body = event_.body_;
    body.reserve(details_.size() + actor_.size() + 160);
    body.append("\"event_type\":\"").append(event_.type_).append("\",\"actor\":");
    append_json(body, actor_.empty() ? std::string_view("system") : actor_);
    body.append(",\"correlation_id\":");
    if (correlation_.empty()) {
        body.append("null");
    } else {
        append_json(body, correlation_);
    }
    body.append(",\"details\":{").append(details_).append("}");
    return std::move(event_);
}

} // namespace rbee::audit
