#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rbee::audit {

/// What it means for the caller when an event cannot be recorded.
enum class EventClass : std::uint8_t {
    control,   ///< Something is started, stopped or changed: without a record it must not happen.
    security,  ///< Something was refused: it stays refused.
    inference, ///< Somebody's request: the settings decide.
};

/// Who did it. Only views: build it in the call that records the event.
struct Actor {
    std::string_view user_id = {};     ///< Such as "token:a1b2c3"; never a token.
    std::string_view ip = {};          ///< The peer's real address.
    std::string_view auth_method = {}; ///< bearer_token, api_key, m_tls or internal.
    std::string_view session_id = {};
};

/// Why an event is not as it must be. Never holds the value.
struct FieldFault {
    std::string field;
    std::string rule; ///< What the value breaks, such as "contains null bytes".
};

/// Longest value of a text field, in bytes (behaviour.md 11.5).
inline constexpr std::size_t field_bytes_max = 1024;
/// Longest event, in bytes of JSON.
inline constexpr std::size_t event_bytes_max = 4096;

/// One thing that happened, checked and written out: what a record says besides its place in the
/// chain. Made by make_event() of the types in events.hpp.
///
/// A value that breaks a rule of behaviour.md 11.5 is never cleaned. The event then has a fault()
/// and says instead that an event of its type was refused, with the fields that were good: nobody
/// can keep a failure out of the log by sending a bad byte along.
class Event {
public:
    [[nodiscard]] const std::string& type() const { return type_; }
    [[nodiscard]] EventClass kind() const { return kind_; }
    /// The members "event_type", "actor", "correlation_id" and "details" of the record.
    [[nodiscard]] const std::string& body() const { return body_; }
    [[nodiscard]] const std::optional<FieldFault>& fault() const { return fault_; }
    /// Floods of events with the same source are folded; empty: never.
    [[nodiscard]] const std::string& flood_source() const { return flood_source_; }

private:
    friend class EventBuilder;
    std::string type_;
    EventClass kind_ = EventClass::control;
    std::string body_;
    std::optional<FieldFault> fault_;
    std::string flood_source_;
};

/// Puts an Event together. An empty text is left out. Each text is at most 1024 bytes of UTF-8
/// without control characters, escapes and characters that change the direction of text.
class EventBuilder {
public:
    EventBuilder(std::string_view type, EventClass kind);

    EventBuilder& actor(const Actor& actor);
    EventBuilder& correlation(std::string_view id);
    /// One line.
    EventBuilder& text(std::string_view name, std::string_view value);
    /// One line that names a thing: no "..", no backslash.
    EventBuilder& id(std::string_view name, std::string_view value);
    /// Text that people write: line feeds are allowed, carriage returns are not; what looks like a
    /// secret is taken out.
    EventBuilder& prose(std::string_view name, std::string_view value);
    /// The path of a request: its query is dropped, what looks like a secret is taken out.
    EventBuilder& path(std::string_view name, std::string_view value);
    EventBuilder& number(std::string_view name, std::uint64_t value);
    EventBuilder& optional_number(std::string_view name, std::optional<std::uint64_t> value);
    EventBuilder& flag(std::string_view name, bool value);
    EventBuilder& list(std::string_view name, std::span<const std::string> values);
    EventBuilder& numbers(std::string_view name, std::span<const std::uint32_t> values);
    EventBuilder& fold_by(std::string_view source);

    [[nodiscard]] Event build() &&;

private:
    bool good(std::string_view name, std::string_view value, bool line_feeds);
    void refuse(std::string_view name, std::string rule);
    void key(std::string_view name);

    Event event_;
    std::string actor_;
    std::string correlation_;
    std::string details_;
};

} // namespace rbee::audit
